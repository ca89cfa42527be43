//! Whatever is written: it is taken, or told by name.

use super::{ALL, VIP, file, load, load_with};
use outrider::config::{Faults, describe};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// Texts that get past the first checks now and then.
fn text() -> impl Strategy<Value = String> {
    let near = "(tcp:|https?:|//|[0-9]{1,5}|10\\.0\\.0\\.|[a-z]{1,6}|[-.,;:/@=?#%\\[\\] \n]|ms|s){0,9}";
    prop_oneof![any::<String>(), near.prop_map(|text: String| text)]
}

proptest! {
    #[test]
    fn any_text_is_taken_or_told(variable in 0..ALL.len(), text in text()) {
        let name = ALL[variable].0;
        let variables: Vec<(&str, &str)> =
            [VIP, (name, &text)].into_iter().skip(usize::from(name == "OUTRIDER_VIP")).collect();
        match load(&variables) {
            Ok(loaded) => {
                let sections = describe(&loaded);
                let rows = sections.iter().flat_map(|section| &section.rows);
                let names: BTreeSet<_> = rows.map(|(name, ..)| *name).collect();
                prop_assert_eq!(names.len(), ALL.len());
            }
            Err(Faults(faults)) => {
                prop_assert!(!faults.is_empty());
                for fault in faults {
                    let of_one = fault.strip_prefix("router ").and_then(|rest| rest.split_once(": "));
                    let told = of_one.map_or(fault.as_str(), |(_, told)| told);
                    prop_assert!(told.starts_with(name) && !fault.contains('\n'), "{}", fault);
                }
            }
        }
    }

    #[test]
    fn any_text_for_two_routers_is_taken_or_told(variable in 1..ALL.len(), text in text()) {
        let name = ALL[variable].0;
        match load(&[("OUTRIDER_VIP", "10.10.10.2;2001:db8::3"), (name, &text)]) {
            Ok(loaded) => prop_assert_eq!(loaded.config.routers.len(), 2),
            Err(Faults(faults)) => {
                prop_assert!(!faults.is_empty());
                for fault in faults {
                    prop_assert!(fault.contains(name) && !fault.contains('\n'), "{}", fault);
                }
            }
        }
    }

    #[test]
    fn any_name_is_known_or_told(name in "[A-Z_]{0,20}|\\PC{0,8}", text in text()) {
        let name = format!("OUTRIDER_{name}");
        if let Err(Faults(faults)) = load(&[VIP, (&name, &text)]) {
            prop_assert!(faults.iter().all(|fault| fault.contains(&name)), "{:?}", faults);
        }
    }

    #[test]
    fn any_file_is_taken_or_told(content in "([a-z_]{1,9}|[\\[\\]{}=\"'.,#\n]|[0-9]{1,3}|vip|check|peers|\n\\[\\[router\\]\\]\n(vip='10\\.0\\.0\\.[1-4]'\n)?| ){0,20}") {
        let folder = tempfile::tempdir().unwrap();
        let path = file(folder.path(), "o.toml", &content);
        if let Err(Faults(faults)) = load(&[("OUTRIDER_CONFIG", &path)]) {
            prop_assert!(!faults.is_empty());
            prop_assert!(faults.iter().all(|fault| fault.starts_with(&path) || fault.starts_with("OUTRIDER_VIP is")));
        }
        if let Err(Faults(faults)) = load_with(&[("OUTRIDER_CONFIG", &path)]) {
            prop_assert!(!faults.is_empty() && faults.iter().all(|fault| fault.starts_with(&path)), "{:?}", faults);
        }
    }
}
