// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Labels of a device or a topic: shown, set, taken away.

use maud::{Markup, html};

use super::ask::Ask;
use super::ui;
use crate::domain::{Error, Labelled, Operation, Permission, Result};

/// The labels, and for those who may a form for them that is posted to an address.
pub fn editor(ask: &Ask, action: &str, name: &str, list: &str, all: &[(String, String)]) -> Markup {
    let may = ask.may(Permission::Operate);
    html! {
        div.live #labels data-live {
            @if all.is_empty() { p.faint { "None. Policies, campaigns and lists go by labels, such as site=north." } }
            ul.states {
                @for (label, value) in all {
                    @let text = format!("{label}={value}");
                    li {
                        a href=(ui::href(list, &[("label", &text)])) { (text) }
                        @if may {
                            @let fields = [("name", name), ("label", label.as_str()), ("what", "take")];
                            (ui::button(ask, action, &fields, "quiet", "Take away"))
                        }
                    }
                }
            }
        }
        @if may {
            form.filter method="post" action=(action) {
                (ui::form_token(ask))
                input type="hidden" name="name" value=(name);
                input type="hidden" name="what" value="set";
                (ui::input("text", "label", "Label, as name=value", "", "", true))
                button type="submit" { "Set" }
            }
        }
    }
}

/// What the form asks for.
///
/// # Errors
/// [`Error::Invalid`].
pub fn operation(ask: &Ask, of: Labelled) -> Result<Operation> {
    let text = ask.fields.trimmed("label");
    if ask.fields.get("what") == Some("take") {
        return Ok(Operation::RemoveLabel { of, name: text.to_string() });
    }
    let (name, value) =
        text.split_once('=').ok_or_else(|| Error::invalid("label", "is not name=value"))?;
    Ok(Operation::SetLabel { of, name: name.trim().into(), value: value.trim().into() })
}
