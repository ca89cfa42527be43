//! What Rancher makes of a compose file: Go's templates, as far as our files use them, then `${variables}`.

use std::collections::{BTreeMap, BTreeSet};
use yaml_rust2::Yaml;

/// Answers by variable.
pub type Answers = BTreeMap<String, String>;

/// The name of the stack in every rendered file.
pub const STACK: &str = "shop";

/// Carries out `{{if .Values.NAME}}`, `{{if or .Values.A .Values.B}}`, `{{end}}`, `{{.Values.NAME}}` and
/// `{{.Stack.Name}}`. Everything else is an error: it is not known here what Rancher would make of it.
pub fn templated(text: &str, answers: &Answers) -> Result<String, String> {
    let mut out = String::new();
    // Whether each `if` around this place holds.
    let mut ifs: Vec<bool> = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (action, mut after) = after.split_once("}}").ok_or("{{ without }}")?;
        let (action, before) = match action.strip_prefix('-') {
            Some(action) => (action, before.trim_end()),
            None => (action, before),
        };
        let action = action.strip_suffix('-').map_or(action, |action| {
            after = after.trim_start();
            action
        });
        if ifs.iter().all(|holds| *holds) {
            out += before;
        }
        let words: Vec<&str> = action.split_whitespace().collect();
        let answer = |word: &str| {
            let name = word.strip_prefix(".Values.").ok_or(format!("{{{{{action}}}}}: is not understood"))?;
            Ok::<_, String>(answers.get(name).cloned().unwrap_or_default())
        };
        match words[..] {
            ["if", one] => ifs.push(!answer(one)?.is_empty()),
            ["if", "or", a, b] => ifs.push(!answer(a)?.is_empty() || !answer(b)?.is_empty()),
            ["end"] => drop(ifs.pop().ok_or("{{end}} without {{if}}")?),
            [".Stack.Name"] => out += STACK,
            [one] if ifs.iter().all(|holds| *holds) => out += &answer(one)?,
            [one] => drop(answer(one)?),
            _ => return Err(format!("{{{{{action}}}}}: is not understood")),
        }
        rest = after;
    }
    if !ifs.is_empty() {
        return Err("{{if}} without {{end}}".to_owned());
    }
    Ok(out + rest)
}

/// The answers that a template's actions ask for.
pub fn asked_by_actions(text: &str) -> BTreeSet<String> {
    let actions = text.split("{{").skip(1).filter_map(|text| text.split_once("}}"));
    let words = actions.flat_map(|(action, _)| action.split_whitespace());
    words
        .filter_map(|word| word.trim_matches('-').strip_prefix(".Values."))
        .map(|name| name.trim_end_matches('-').to_owned())
        .collect()
}

/// The `${variables}` of a compose file.
pub fn references(text: &str) -> Result<BTreeSet<String>, String> {
    let mut found = BTreeSet::new();
    interpolate(text, |name| {
        found.insert(name.to_owned());
        String::new()
    })?;
    Ok(found)
}

/// The text with its `${variables}` replaced, and `$$` by `$`.
fn interpolated(text: &str, answers: &Answers) -> Result<String, String> {
    interpolate(text, |name| answers.get(name).cloned().unwrap_or_default())
}

/// The same for every text in a file that is already read: whatever stands in an answer, it stays one text.
///
/// # Panics
/// When a `$` is followed by something else.
pub fn filled_in(yaml: &Yaml, answers: &Answers) -> Yaml {
    match yaml {
        Yaml::String(text) => Yaml::String(interpolated(text, answers).unwrap()),
        Yaml::Array(items) => Yaml::Array(items.iter().map(|item| filled_in(item, answers)).collect()),
        Yaml::Hash(entries) => {
            Yaml::Hash(entries.iter().map(|(key, value)| (key.clone(), filled_in(value, answers))).collect())
        }
        other => other.clone(),
    }
}

fn interpolate(text: &str, mut value: impl FnMut(&str) -> String) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out += before;
        if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        let (name, after) =
            after.strip_prefix('{').and_then(|after| after.split_once('}')).ok_or("$ is written $$")?;
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(format!("${{{name}}}: Rancher knows no defaults here"));
        }
        out += &value(name);
        rest = after;
    }
    Ok(out + rest)
}

#[test]
fn it_is_go_s_way() {
    let answers = Answers::from([("A".to_owned(), "a".to_owned())]);
    let text = "x\n{{- if .Values.A}}\n  y: {{.Values.A}} {{ .Stack.Name }}\n{{- end}}\n{{- if .Values.B}}\n  z\n{{- end}}\n";
    assert_eq!(templated(text, &answers).unwrap(), "x\n  y: a shop\n");
    assert_eq!(templated("{{if or .Values.B .Values.A -}}  \n1{{end}}{{.Values.B}}", &answers).unwrap(), "1");
    assert_eq!(
        templated("{{if .Values.B}}{{if .Values.A}}1{{end}}{{.Values.A}}{{end}}2", &answers).unwrap(),
        "2"
    );
    for wrong in ["{{", "{{end}}", "{{if .Values.A}}", "{{range .Values}}{{end}}", "{{.Release}}"] {
        assert!(templated(wrong, &answers).is_err(), "{wrong}");
    }
    assert_eq!(interpolated("$${x} ${A}${B}.", &answers).unwrap(), "${x} a.");
    assert_eq!(asked_by_actions("{{- if or .Values.A .Values.B -}}{{.Values.C}}{{.Stack.Name}}").len(), 3);
}
