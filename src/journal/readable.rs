//! A command as text for people: its fields, without the wrappers of the types.

use merit_engine::Command;

/// Types of one unnamed field whose name says nothing beside the field's.
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

/// The fields of a command; money in picodollars, entities by their numbers. Empty if it has none.
pub(super) fn fields(command: &Command) -> String {
    let text = unwrapped(&format!("{command:?}"));
    match (text.find('{'), text.rfind('}')) {
        (Some(from), Some(to)) if from < to => text[from + 1..to].trim().to_owned(),
        _ => String::new(),
    }
}

/// Takes the wrappers out of a debug text; what stands in quotes stays as it is.
fn unwrapped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    // Of each open parenthesis, whether it was a wrapper's.
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
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(unwrapped(text), expected);
    }

    #[test]
    fn wrappers_go_and_texts_stay() {
        check("Deposit { account: AccountId(2), amount: Money(5) }", "Deposit { account: 2, amount: 5 }");
        check("Some(LeaseId { run: 1, sequence: 2 })", "LeaseId { run: 1, sequence: 2 }");
        check(r#"name: Name("Some(x) \" Money(1")"#, r#"name: "Some(x) \" Money(1""#);
        check("Acquire(Bid { limits: Listed([Name(\"a\")]) })", "Acquire(Bid { limits: Listed([\"a\"]) })");
        check("NotSome(1)", "NotSome(1)");
    }

    #[test]
    fn a_command_is_its_fields() {
        assert_eq!(fields(&Command::Tick), "");
        assert_eq!(fields(&Command::SetFee { basis_points: 3 }), "basis_points: 3");
        let name = "dev".parse().unwrap();
        assert_eq!(fields(&Command::OpenAccount { name }), "name: \"dev\"");
    }
}
