//! The values of one scope, the process or one virtual router, merged from layers. figment keeps the topmost value
//! of each key, and which layer it is of.

use super::variables;
use figment::value::{Dict, Empty, Map, Value};
use figment::{Error, Figment, Metadata, Profile, Provider};
use std::path::{Path, PathBuf};

/// Values of one source, keyed by their names in the file. figment's own provider for the environment would guess
/// types: 00123 would become a number.
struct Layer {
    metadata: Metadata,
    values: Dict,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        self.metadata.clone()
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        Ok(Map::from([(Profile::Default, self.values.clone())]))
    }
}

/// The name of a layer of values for one virtual router alone.
const OWN: &str = "one virtual router";

/// Puts what a source says to all and what it says to one virtual router on top. `file`: it is this one; none: the
/// environment.
pub(super) fn merge(below: Figment, file: Option<&PathBuf>, [shared, own]: [Dict; 2]) -> Figment {
    // A variable and its `_FILE` form are one: either hides both below it.
    let set = shared.keys().chain(own.keys()).filter_map(|key| variables::base(&variables::full(key)));
    let forms = set.flat_map(|variable| [variable.key(), variable.file_key()]);
    let hidden = forms.map(|key| (key, Empty::None.into())).collect();
    [("hidden", hidden), ("all", shared), (OWN, own)].into_iter().fold(below, |below, (name, values)| {
        let mut metadata = Metadata::named(name);
        metadata.source = file.map(|path| path.as_path().into());
        below.merge(Layer { metadata, values })
    })
}

/// The topmost value, if there is one.
pub(super) fn find(layers: &Figment, key: &str) -> Option<Value> {
    layers.find_value(key).ok().filter(|value| *value != Empty::None.into())
}

/// The file a value stands in, if it is one, and whether it was written for one virtual router alone.
pub(super) fn place(layers: &Figment, value: &Value) -> (Option<PathBuf>, bool) {
    let metadata = layers.get_metadata(value.tag());
    let file = metadata.and_then(|metadata| metadata.source.as_ref()?.file_path());
    (file.map(Path::to_path_buf), metadata.is_some_and(|metadata| metadata.name == OWN))
}

/// Stands for a value whose fault was told.
pub(super) fn broken() -> Value {
    Empty::Unit.into()
}
