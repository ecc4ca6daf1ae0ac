//! Maps and sets of names: in the order in which they were filled, with a hash that is cheap for
//! short texts. A task asks every layer of its scope for a name, and an inventory names each of its
//! hosts several times.

/// How such a map hashes.
pub type Hasher = foldhash::fast::RandomState;

/// A map in the order of its entries.
pub type OrderedMap<K, V> = indexmap::IndexMap<K, V, Hasher>;

/// A set in the order of its entries.
pub type OrderedSet<T> = indexmap::IndexSet<T, Hasher>;
