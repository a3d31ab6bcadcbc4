//! A command as text for people: its fields, without the wrappers of the types.

use merit_engine::Command;

/// Types of one unnamed field whose name adds nothing to the field's.
const WRAPPERS: [&str; 12] = [
    "AccountId",
    "FunctionId",
    "ProviderId",
    "MarketId",
    "OfferId",
    "KeyId",
    "Name",
    "MarketName",
    "MarketPattern",
    "Money",
    "Price",
    "Some",
];

/// Returns the fields of a command: money in picodollars, entities by their numbers. Empty if it has none.
pub(super) fn fields(command: &Command) -> String {
    let text = unwrapped(&format!("{command:?}"));
    match (text.find('{'), text.rfind('}')) {
        (Some(from), Some(to)) if from < to => text[from + 1..to].trim().to_owned(),
        _ => String::new(),
    }
}

/// Removes the wrappers from a debug text, but not from quoted parts.
fn unwrapped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    // For each open parenthesis, whether it is a wrapper's.
    let mut open = Vec::new();
    let mut quoted = false;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' if quoted => {
                out.push(character);
                out.extend(characters.next());
                continue;
            }
            '"' => quoted = !quoted,
            '(' if !quoted => {
                let wrapper = WRAPPERS.iter().find(|wrapper| ends_with_word(&out, wrapper));
                open.push(wrapper.is_some());
                if let Some(wrapper) = wrapper {
                    out.truncate(out.len() - wrapper.len());
                    continue;
                }
            }
            ')' if !quoted && open.pop() == Some(true) => continue,
            _ => {}
        }
        out.push(character);
    }
    out
}

fn ends_with_word(text: &str, word: &str) -> bool {
    text.strip_suffix(word).is_some_and(|before| !before.ends_with(|c: char| c.is_alphanumeric() || c == '_'))
}

#[cfg(test)]
#[path = "../../tests/unit/journal/readable.rs"]
mod tests;
