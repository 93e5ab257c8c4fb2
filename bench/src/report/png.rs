//! Charts as PNG, on white, at twice the size so that they are sharp.

use std::convert::Infallible;

use embedded_graphics::Drawable;
use embedded_graphics::draw_target::DrawTarget;
use embedded_graphics::geometry::{OriginDimensions, Point, Size};
use embedded_graphics::mono_font::{MonoTextStyle, iso_8859_1};
use embedded_graphics::pixelcolor::{Rgb888, RgbColor};
use embedded_graphics::prelude::{Pixel, Primitive};
use embedded_graphics::primitives::{Line, PrimitiveStyle};
use embedded_graphics::text::{Alignment, Text};

use super::Chart;
use super::draw::{Anchor, Canvas, HEIGHT, Ink, WIDTH, draw};

const SCALE: f64 = 2.0;
/// Length of a dash and of the gap after it, in pixels.
const DASH: f64 = 14.0;

/// Encodes the charts, one below another.
pub(super) fn render(charts: &[Chart]) -> Result<Vec<u8>, png::EncodingError> {
    let height = HEIGHT * charts.len().max(1) as f64;
    let mut sheet = Sheet::new(pixels(WIDTH), pixels(height));
    for (number, chart) in charts.iter().enumerate() {
        sheet.down = HEIGHT * number as f64;
        draw(chart, &mut sheet);
    }
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, sheet.size.width, sheet.size.height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&sheet.pixels)?;
    writer.finish()?;
    Ok(file)
}

fn pixels(length: f64) -> u32 {
    u32::try_from(whole(length)).unwrap_or(0)
}

/// A place in pixels.
fn whole(length: f64) -> i32 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "casts of floats saturate, and sheets are small"
    )]
    let whole = (length * SCALE).round() as i32;
    whole
}

struct Sheet {
    size: Size,
    pixels: Vec<u8>,
    /// Where the present chart begins.
    down: f64,
}

impl Sheet {
    fn new(width: u32, height: u32) -> Self {
        let bytes = width as usize * height as usize * 3;
        Self { size: Size::new(width, height), pixels: vec![0xff; bytes], down: 0.0 }
    }

    fn at(&self, (x, y): (f64, f64)) -> Point {
        Point::new(whole(x), whole(y + self.down))
    }

    fn write(&mut self, at: (f64, f64), text: &str, alignment: Alignment) {
        let style = MonoTextStyle::new(&iso_8859_1::FONT_9X18, Rgb888::new(0x3a, 0x3f, 0x45));
        let at = self.at(at);
        let Ok(_next) = Text::with_alignment(text, at, style, alignment).draw(self);
    }
}

impl OriginDimensions for Sheet {
    fn size(&self) -> Size {
        self.size
    }
}

impl DrawTarget for Sheet {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(
        &mut self,
        dots: I,
    ) -> Result<(), Infallible> {
        for Pixel(at, color) in dots {
            let (Ok(x), Ok(y)) = (usize::try_from(at.x), usize::try_from(at.y)) else { continue };
            let width = self.size.width as usize;
            let from = (y * width + x) * 3;
            if x < width
                && let Some(place) = self.pixels.get_mut(from..from + 3)
            {
                place.copy_from_slice(&[color.r(), color.g(), color.b()]);
            }
        }
        Ok(())
    }
}

/// Color, width and whether dashed: the same looks as in SVG.
fn look(ink: Ink) -> (Rgb888, u32, bool) {
    let (blue, orange, gray) = (
        Rgb888::new(0x0b, 0x6b, 0xcb),
        Rgb888::new(0xc2, 0x41, 0x0c),
        Rgb888::new(0x6b, 0x71, 0x78),
    );
    match ink {
        Ink::Axis => (gray, 2, false),
        Ink::Grid => (Rgb888::new(0xdf, 0xe2, 0xe5), 1, false),
        Ink::Series(number) => {
            let color = match number % 6 {
                0 | 1 => blue,
                2 | 3 => orange,
                _ => gray,
            };
            (color, 4, number % 2 == 1)
        }
    }
}

impl Canvas for Sheet {
    fn line(&mut self, points: &[(f64, f64)], ink: Ink) {
        let (color, width, dashed) = look(ink);
        let style = PrimitiveStyle::with_stroke(color, width);
        let mut walked = 0.0;
        for pair in points.windows(2) {
            let [from, to] = pair else { continue };
            let length = (to.0 - from.0).hypot(to.1 - from.1);
            // Pieces as long as half a dash, of which every other pair is left out.
            let pieces = if dashed { (length * SCALE / DASH * 2.0).ceil().max(1.0) } else { 1.0 };
            let point =
                |share: f64| (from.0 + (to.0 - from.0) * share, from.1 + (to.1 - from.1) * share);
            let mut piece = 0.0;
            while piece < pieces {
                let middle = walked + length * (piece + 0.5) / pieces;
                if !dashed || (middle * SCALE / DASH).rem_euclid(2.0) < 1.0 {
                    let ends =
                        [piece / pieces, (piece + 1.0) / pieces].map(|at| self.at(point(at)));
                    let [begin, end] = ends;
                    let Ok(()) = Line::new(begin, end).into_styled(style).draw(self);
                }
                piece += 1.0;
            }
            walked += length;
        }
    }

    fn word(&mut self, at: (f64, f64), text: &str, anchor: Anchor) {
        let alignment = match anchor {
            Anchor::Start => Alignment::Left,
            Anchor::Middle => Alignment::Center,
            Anchor::End => Alignment::Right,
        };
        self.write(at, text, alignment);
    }

    fn title(&mut self, at: (f64, f64), text: &str) {
        self.write(at, text, Alignment::Left);
    }
}
