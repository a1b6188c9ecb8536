// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The map of keys: for each topic a picture with one cell for each of its devices, coloured by the
//! key that it holds. A picture of ten thousand devices is a few kilobytes.

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use maud::{Markup, html};

use super::ask::{Answer, Ask, Failure, Flash};
use super::{Web, session, ui};
use crate::domain::{Cell, Error, Permission};

/// Its pages.
pub fn routes() -> Router<Web> {
    Router::new()
        .route("/map", get(page))
        .route("/map/topic.png", get(picture))
        .route("/map/cell", get(cell))
}

/// How wide a picture is, in pixels.
const WIDTH: usize = 1200;
/// Devices in one part of the list below it.
const PART: i64 = 100;

/// Names and colours of cells. The colours stand out from light and dark, and from each other in
/// their lightness as well.
const LOOKS: [(Cell, &str, &str, [u8; 3]); 5] = [
    (Cell::Newest, "newest", "newest key", [0x2c, 0x9a, 0x56]),
    (Cell::Before, "before", "key before", [0xe0, 0xa5, 0x2b]),
    (Cell::Older, "older", "older key", [0xd8, 0x6b, 0x1e]),
    (Cell::None, "none", "no key confirmed", [0x8a, 0x93, 0xa3]),
    (Cell::Failed, "refused", "refused", [0xb3, 0x1f, 0x3d]),
];

/// Where cells are: so many pixels each, a gap of one included from 4 on.
struct Grid {
    side: usize,
    columns: usize,
    rows: usize,
}

impl Grid {
    fn of(cells: usize) -> Self {
        let side = match cells {
            0..=240 => 16,
            241..=2000 => 8,
            _ => 4,
        };
        let columns = WIDTH / side;
        Self { side, columns, rows: cells.div_ceil(columns).max(1) }
    }

    fn height(&self) -> usize {
        self.rows * self.side
    }

    /// The cell at a place in the picture.
    fn at(&self, x: usize, y: usize) -> usize {
        (y / self.side) * self.columns + (x / self.side).min(self.columns - 1)
    }
}

/// The picture of a topic, for another page.
pub fn image(topic: &str, epoch: i64, members: i64) -> Markup {
    let grid = Grid::of(usize::try_from(members).unwrap_or_default());
    let said = format!(
        "Map of {topic}: {members} devices; the list of those that are behind follows the link"
    );
    // What is there after a rotation is another picture.
    let number = epoch.to_string();
    html! {
        a.map href=(ui::href("/map", &[("topic", topic)])) {
            img src=(ui::href("/map/topic.png", &[("topic", topic), ("epoch", &number)])) alt=(said)
                width=(WIDTH) height=(grid.height()) loading="lazy" data-live-image;
        }
    }
}

/// What the colours mean.
pub fn legend(counts: Option<&[i64; 5]>) -> Markup {
    html! {
        ul.legend {
            @for (number, (_, class, words, _)) in LOOKS.iter().enumerate() {
                li {
                    svg.swatch width="12" height="12" aria-hidden="true" {
                        rect.{ "cell-" (class) } width="12" height="12" rx="2" {}
                    }
                    (words)
                    @if let Some(count) = counts.and_then(|counts| counts.get(number)) {
                        " " strong { (ui::number(*count)) }
                    }
                }
            }
        }
    }
}

async fn picture(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Read).await?;
    let topic = ask.fields.text("topic")?.to_string();
    let bytes = web.run(move |service| draw(&service.topic_map(&topic)?.cells)).await?;
    Ok(([(CONTENT_TYPE, "image/png")], bytes).into_response())
}

/// Colour 0 is none; cells are in their order in [`LOOKS`] from 1 on, eight pixels to four bytes.
fn draw(cells: &[Cell]) -> crate::domain::Result<Vec<u8>> {
    let broken = |error: png::EncodingError| Error::Store(format!("picture: {error}"));
    let grid = Grid::of(cells.len());
    let line = WIDTH / 2;
    let mut pixels = vec![0u8; line * grid.height()];
    for (number, cell) in cells.iter().enumerate() {
        let colour = LOOKS.iter().position(|(look, ..)| look == cell).map_or(0, |index| index + 1);
        let colour = u8::try_from(colour).unwrap_or_default();
        let (left, top) = (number % grid.columns * grid.side, number / grid.columns * grid.side);
        for y in top..top + grid.side - 1 {
            for x in left..left + grid.side - 1 {
                if let Some(pair) = pixels.get_mut(y * line + x / 2) {
                    *pair |= if x % 2 == 0 { colour << 4 } else { colour };
                }
            }
        }
    }
    let mut bytes = Vec::new();
    let size = |length: usize| u32::try_from(length).unwrap_or_default();
    let mut encoder = png::Encoder::new(&mut bytes, size(WIDTH), size(grid.height()));
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Four);
    let colours = LOOKS.iter().flat_map(|(.., colour)| *colour);
    encoder.set_palette([0, 0, 0].into_iter().chain(colours).collect::<Vec<u8>>());
    encoder.set_trns(vec![0]);
    let mut writer = encoder.write_header().map_err(broken)?;
    writer.write_image_data(&pixels).map_err(broken)?;
    writer.finish().map_err(broken)?;
    Ok(bytes)
}

/// Numbers of the cells by [`LOOKS`].
fn counts(cells: &[Cell]) -> [i64; 5] {
    LOOKS.map(|(look, ..)| {
        i64::try_from(cells.iter().filter(|cell| **cell == look).count()).unwrap_or_default()
    })
}

async fn page(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Read).await?;
    let name = ask.fields.text("topic")?.to_string();
    let part = ask.fields.number("page", 1)?.clamp(1, i64::from(u32::MAX));
    let (map, laggards) = web
        .run(move |service| {
            let laggards = service.laggards(&name, (part - 1) * PART, PART)?;
            Ok((service.topic_map(&name)?, laggards))
        })
        .await?;
    let (topic, counts) = (&map.topic, counts(&map.cells));
    let members = i64::try_from(map.cells.len()).unwrap_or_default();
    let behind = members - counts.first().copied().unwrap_or_default();
    let grid = Grid::of(map.cells.len());
    let body = html! {
        div.heading {
            h1 { "Map of " code { (topic.name) } }
            a.button href=(ui::href("/topic", &[("name", &topic.name)])) { "The topic" }
        }
        section.card #map data-live {
            p { "Key " (topic.epoch) ", " (ui::number(members)) " devices. A cell is a device; a click "
                "opens it. The oldest device is at the top left." }
            (legend(Some(&counts)))
            @if members > 0 {
                div.scroll.plain tabindex="0" role="region" aria-label="Map" {
                    a href=(ui::href("/map/cell", &[("topic", &topic.name)])) {
                        img.exact ismap src=(ui::href("/map/topic.png", &[("topic", &topic.name)]))
                            alt="One cell for each device; the list below has those that are behind"
                            width=(WIDTH) height=(grid.height());
                    }
                }
            }
        }
        h2 { "Devices without the newest key" }
        div #behind data-live {
            @if members == 0 {
                (ui::empty("No device yet", "A topic's key goes to its devices. Add some on its page.",
                    Some((&ui::href("/topic", &[("name", &topic.name)]), "Open the topic"))))
            } @else if behind == 0 {
                p.card { "All " (ui::number(members)) " devices confirmed key " (topic.epoch) "." }
            } @else {
                (ui::table("Devices without the newest key", &["Device", "Holds", "Since"], html! {
                    @for one in &laggards {
                        tr {
                            th scope="row" {
                                a href=(ui::href("/device", &[("name", &one.name)])) { (one.name) }
                            }
                            td { (holds(one.cell, one.confirmed)) }
                            td { (ui::when(one.changed_at, ask.now)) }
                        }
                    }
                }))
                (ui::pager(&ask, part, PART, behind))
            }
        }
    };
    Ok(ui::page(&ask, &format!("Map of {}", topic.name), body))
}

fn holds(cell: Cell, confirmed: i64) -> Markup {
    match cell {
        Cell::Newest => ui::badge("good", "newest"),
        Cell::Before | Cell::Older => ui::badge("warning", &format!("key {confirmed}")),
        Cell::None => ui::badge("plain", "none confirmed"),
        Cell::Failed => ui::badge("bad", "refused"),
    }
}

/// A browser that is told of a picture with places adds `?x,y` to the address.
async fn cell(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Read).await?;
    let wrong = || Failure::Error(Error::invalid("place", "is not in the picture"));
    let (topic, place) = ask.fields.text("topic")?.rsplit_once('?').ok_or_else(wrong)?;
    let (x, y) = place.split_once(',').ok_or_else(wrong)?;
    let (x, y): (usize, usize) = x.parse().ok().zip(y.parse().ok()).ok_or_else(wrong)?;
    let name = topic.to_string();
    let found = web
        .run(move |service| {
            let members = service.count_clients_of_topic(&name)?;
            let grid = Grid::of(usize::try_from(members).unwrap_or_default());
            let number = i64::try_from(grid.at(x, y)).unwrap_or(i64::MAX);
            service.client_of_cell(&name, number)
        })
        .await?;
    match found {
        Some(device) => Ok(session::see(&ui::href("/device", &[("name", &device)]))),
        None => {
            let flash = Flash::failed("There is no device at that place of the map.");
            Ok(web.back(&ask, &ui::href("/map", &[("topic", topic)]), flash))
        }
    }
}
