//! The keys of the table `store`.

use weir_cache::eviction::Goal;
use weir_store::{IndexKind, MemoryKind, SyncMode};

use super::keys::Visitor;
use super::kinds::{Choice, Count, Maybe, Size};
use super::store::StoreConfig;
use super::units::ByteSize;

const INDEX: Choice<IndexKind> =
    Choice { options: &[("redb", IndexKind::Redb), ("sled", IndexKind::Sled)] };

const MEMORY_KIND: Choice<MemoryKind> = Choice {
    options: &[
        ("shelves", MemoryKind::Shelves),
        ("moka", MemoryKind::Moka),
        ("quick", MemoryKind::Quick),
    ],
};

const GOAL: Choice<Goal> = Choice {
    options: &[("balanced", Goal::Balanced), ("objects", Goal::Objects), ("bytes", Goal::Bytes)],
};

const SYNC: Choice<SyncMode> =
    Choice { options: &[("none", SyncMode::None), ("data", SyncMode::Data)] };

/// Visits every key of the table.
pub(super) fn visit(store: &mut StoreConfig, v: &mut impl Visitor) {
    v.table("store", "What is kept.");
    v.key(
        "memory",
        &Size::at_least(ByteSize::from_mib(1)),
        &mut store.memory,
        "Bytes of stored responses kept in memory.",
    );
    v.key(
        "memory_kind",
        &MEMORY_KIND,
        &mut store.memory_kind,
        "Which map holds them: shelves keeps what store.goal asks for, moka and quick have policies of their own.",
    );
    v.key(
        "goal",
        &GOAL,
        &mut store.goal,
        "What is kept when there is no room for all: balanced spares the origin requests and bytes, objects as many \
         requests as can be, bytes as many bytes.",
    );
    v.key(
        "object_max",
        &Size::at_least(ByteSize::from_bytes(1)),
        &mut store.object_max,
        "Largest body stored: at most an eighth of memory, or a quarter of disk where there is one. When \
         left out, that quarter, or that eighth if it is less.",
    );
    v.key(
        "variants_max",
        &Count::new(1, 256),
        &mut store.variants_max,
        "Variants (Vary) kept for one key.",
    );
    visit_disk(store, v);
}

fn visit_disk(store: &mut StoreConfig, v: &mut impl Visitor) {
    v.key(
        "disk",
        &Maybe(Size::at_least(StoreConfig::DISK_MIN)),
        &mut store.disk,
        "Bytes of stored responses kept on disk, in node.data_dir; memory alone when left out.",
    );
    v.key(
        "memory_object_max",
        &Size::at_least(ByteSize::from_bytes(1)),
        &mut store.memory_object_max,
        "Largest body kept in memory where there is a disk; larger ones are read from there. At most an \
         eighth of memory.",
    );
    let disk = &mut store.on_disk;
    v.key("index", &INDEX, &mut disk.index, "What says what is on disk.");
    v.key(
        "index_memory",
        &Size::at_least(ByteSize::from_mib(1)),
        &mut disk.index_memory,
        "Memory of the index for itself.",
    );
    v.key(
        "files_max",
        &Count::new(64, 1_000_000_000),
        &mut disk.files_max,
        "Files of bodies on disk; beyond, the oldest that nobody asks for go.",
    );
    v.key(
        "open_files_max",
        &Count::new(8, 1_000_000),
        &mut disk.open_files_max,
        "Files of bodies kept open for reading, beside those that an answer reads.",
    );
    v.key(
        "slice",
        &Size { min: ByteSize::from_kib(64), max: ByteSize::from_mib(64) },
        &mut disk.slice,
        "Bytes of one slice of a body that is too large for memory: a range costs the slices that it touches.",
    );
    v.key(
        "queue_max",
        &Size::at_least(ByteSize::from_mib(1)),
        &mut disk.queue_max,
        "Bytes of bodies in memory that wait to be written; what comes beyond is not kept on disk.",
    );
    v.key(
        "sync",
        &SYNC,
        &mut disk.sync,
        "What is made sure of before a body counts as written: none leaves it to the system, data waits for \
         the disk. Either way nothing damaged is served.",
    );
    v.key(
        "scrub",
        &Size::at_least(ByteSize::ZERO),
        &mut disk.scrub,
        "Bytes a second that are read to find damage before anybody asks; 0B for none.",
    );
}
