//! The entries of the catalogue, the same at every start, and the questions that both interfaces answer from them.

use async_graphql::{Enum, InputObject};
use std::sync::LazyLock;

/// Number of entries on a page.
const PAGE_SIZE: usize = 20;

pub(super) struct Person {
    pub(super) id: u32,
    pub(super) name: String,
    pub(super) status: Status,
    pub(super) role: &'static str,
    pub(super) genre: Option<&'static str>,
    pub(super) birthplace: Option<&'static Place>,
    pub(super) residence: Option<&'static Place>,
    pub(super) created: String,
}

pub(super) struct Place {
    pub(super) id: u32,
    pub(super) name: String,
    pub(super) kind: Option<&'static str>,
    pub(super) region: &'static str,
    pub(super) created: String,
}

pub(super) struct Work {
    pub(super) id: u32,
    pub(super) name: String,
    pub(super) code: String,
    /// The day of the publication, if it is known.
    pub(super) released: Option<String>,
    pub(super) pages: i32,
    pub(super) score: f64,
    pub(super) people: Vec<&'static Person>,
    pub(super) created: String,
}

// Doc comments of the following types would become descriptions in the schema.

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(super) enum Status {
    Active,
    Retired,
    Unknown,
}

#[derive(Debug, Default, InputObject)]
pub(super) struct FilterPerson {
    pub(super) name: Option<String>,
    pub(super) status: Option<Status>,
    pub(super) genre: Option<String>,
    pub(super) roles: Option<Vec<String>>,
}

#[derive(Debug, Default, InputObject)]
pub(super) struct FilterPlace {
    pub(super) name: Option<String>,
    #[graphql(name = "type")]
    pub(super) kind: Option<String>,
    pub(super) region: Option<String>,
}

#[derive(Debug, Default, InputObject)]
pub(super) struct FilterWork {
    pub(super) name: Option<String>,
    pub(super) code: Option<String>,
}

static PLACES: LazyLock<Vec<Place>> = LazyLock::new(|| (1..=40).map(place).collect());
static PERSONS: LazyLock<Vec<Person>> = LazyLock::new(|| (1..=120).map(person).collect());
static WORKS: LazyLock<Vec<Work>> = LazyLock::new(|| (1..=30).map(work).collect());

/// Returns an item of a table, which begins again at its end.
fn pick<T: Copy>(table: &[T], index: u32) -> T {
    table[index as usize % table.len()]
}

fn created(id: u32) -> String {
    let [year, month, day] = [2010 + id % 14, id % 12 + 1, id % 28 + 1];
    format!("{year}-{month:02}-{day:02}T{:02}:{:02}:00.{:03}Z", id % 24, id % 60, id * 7 % 1_000)
}

fn place(id: u32) -> Place {
    let adjectives = ["North", "Old", "Upper", "Little", "Far", "Salt", "Glass", "Ember"];
    let nouns = ["Harbour", "Bridge", "Orchard", "Märkt", "Observatory 🔭"];
    Place {
        id,
        name: format!("{} {}", pick(&adjectives, id - 1), pick(&nouns, (id - 1) / 8)),
        kind: pick(&[Some("town"), Some("city"), None, Some("ruin")], id),
        region: pick(&["the coast", "the hills", "the plain"], id),
        created: created(id),
    }
}

fn person(id: u32) -> Person {
    let first =
        ["Ada", "Bram", "Célia", "Dov", "Edith", "Farid", "Greta", "Håkon", "Ines", "Jun", "Kofi", "Lena"];
    // Characters that JSON escapes, and some that look as if it did.
    let last = [
        "Marsh",
        "Novák",
        "O'Hara",
        "\"Red\" Rook",
        "Quill/Ash",
        "Vane\\Fell",
        "Stone",
        "Brook",
        "Hale & Son",
        "Wren",
    ];
    let at = |number: u32, is_known: bool| PLACES.get(number as usize % PLACES.len()).filter(|_| is_known);
    Person {
        id,
        name: format!("{} {}", pick(&first, id - 1), pick(&last, (id - 1) / 12)),
        status: pick(&[Status::Unknown, Status::Active, Status::Active, Status::Retired], id),
        role: pick(&["author", "composer", "painter", "translator", "editor"], id),
        genre: pick(&[None, Some("satire"), Some("nature writing"), None, Some("chamber music")], id / 2),
        birthplace: at(id * 7, !id.is_multiple_of(9)),
        residence: at(id * 3, !id.is_multiple_of(5)),
        created: created(id),
    }
}

fn work(id: u32) -> Work {
    let adjectives = ["The Long", "A Short", "The Second", "An Unfinished", "The Quiet", "A Painted"];
    let nouns = ["Winter", "Letter", "Voyage", "Garden", "Étude"];
    // From none to eight different persons.
    let mut people: Vec<_> = (0..id % 9).map(|number| id * 4 + number * 11).collect();
    people.iter_mut().for_each(|number| *number %= 120);
    people.sort_unstable();
    Work {
        id,
        name: format!("{} {}", pick(&adjectives, id - 1), pick(&nouns, (id - 1) / 6)),
        code: format!("S{:02}W{:02}", (id - 1) / 10 + 1, (id - 1) % 10 + 1),
        released: (!id.is_multiple_of(4))
            .then(|| format!("{}-{:02}-{:02}", 1890 + id, id % 12 + 1, id % 28 + 1)),
        pages: i32::try_from(id * 37 % 500 + 20).expect("a few pages"),
        score: 0.5 + f64::from(id % 17) * 0.25,
        people: people.into_iter().filter_map(|number| PERSONS.get(number as usize)).collect(),
        created: created(id),
    }
}

impl Person {
    /// Returns the works that name the person.
    pub(super) fn works(&self) -> impl Iterator<Item = &'static Work> {
        let id = self.id;
        WORKS.iter().filter(move |work| work.people.iter().any(|person| person.id == id))
    }
}

impl Place {
    /// Returns the persons who live there.
    pub(super) fn residents(&self) -> impl Iterator<Item = &'static Person> {
        let id = self.id;
        PERSONS.iter().filter(move |person| person.residence.is_some_and(|place| place.id == id))
    }
}

impl Status {
    /// Returns the name in the REST interface.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Retired => "retired",
            Self::Unknown => "unknown",
        }
    }

    /// Returns the status with this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        [Self::Active, Self::Retired, Self::Unknown].into_iter().find(|status| status.as_str() == name)
    }
}

/// An entry of the catalogue.
pub(super) trait Entry: Sized + 'static {
    /// The filter of its list.
    type Filter;

    /// Returns all entries, ordered by id.
    fn all() -> &'static [Self];

    /// Returns the id.
    fn id(&self) -> u32;

    /// Returns true if the filter lets the entry through.
    fn fits(&self, filter: &Self::Filter) -> bool;
}

/// Returns true if the text contains the wanted one in any case, or none is wanted.
fn contains(text: &str, wanted: &Option<String>) -> bool {
    wanted.as_ref().is_none_or(|wanted| text.to_lowercase().contains(&wanted.to_lowercase()))
}

impl Entry for Person {
    type Filter = FilterPerson;

    fn all() -> &'static [Self] {
        &PERSONS
    }

    fn id(&self) -> u32 {
        self.id
    }

    fn fits(&self, filter: &FilterPerson) -> bool {
        contains(&self.name, &filter.name)
            && filter.status.is_none_or(|status| self.status == status)
            && contains(self.genre.unwrap_or_default(), &filter.genre)
            && filter.roles.as_ref().is_none_or(|roles| roles.iter().any(|role| role == self.role))
    }
}

impl Entry for Place {
    type Filter = FilterPlace;

    fn all() -> &'static [Self] {
        &PLACES
    }

    fn id(&self) -> u32 {
        self.id
    }

    fn fits(&self, filter: &FilterPlace) -> bool {
        contains(&self.name, &filter.name)
            && contains(self.kind.unwrap_or_default(), &filter.kind)
            && contains(self.region, &filter.region)
    }
}

impl Entry for Work {
    type Filter = FilterWork;

    fn all() -> &'static [Self] {
        &WORKS
    }

    fn id(&self) -> u32 {
        self.id
    }

    fn fits(&self, filter: &FilterWork) -> bool {
        contains(&self.name, &filter.name) && contains(&self.code, &filter.code)
    }
}

/// The error of an id that is no number.
#[derive(Debug, Clone, Copy)]
pub(super) struct BadId;

impl BadId {
    /// The message of both interfaces.
    pub(super) const MESSAGE: &str = "An id is a whole number";
}

fn number(id: &str) -> Result<u32, BadId> {
    id.parse().map_err(|_| BadId)
}

/// Returns the entry with an id, if there is one.
pub(super) fn one<E: Entry>(id: &str) -> Result<Option<&'static E>, BadId> {
    let id = number(id)?;
    Ok(E::all().iter().find(|entry| entry.id() == id))
}

/// Returns the entries with these ids, in the order of the catalogue. Unknown ids are left out.
pub(super) fn several<E: Entry>(ids: &[&str]) -> Result<Vec<&'static E>, BadId> {
    let ids: Vec<u32> = ids.iter().map(|id| number(id)).collect::<Result<_, _>>()?;
    Ok(E::all().iter().filter(|entry| ids.contains(&entry.id())).collect())
}

/// A page of a list.
pub(super) struct Page<E: 'static> {
    /// Number of entries on all pages.
    pub(super) count: i32,
    /// Number of pages.
    pub(super) pages: i32,
    /// Number of the page after this one.
    pub(super) next: Option<i32>,
    /// Number of the page before this one.
    pub(super) prev: Option<i32>,
    pub(super) entries: Vec<&'static E>,
}

/// Returns a page of the entries that fit, or `None` if there is no such page. Pages are numbered from 1.
pub(super) fn page<E: Entry>(number: i32, filter: &E::Filter) -> Option<Page<E>> {
    let small = |number: usize| i32::try_from(number).expect("a small catalogue");
    let found: Vec<&'static E> = E::all().iter().filter(|entry| entry.fits(filter)).collect();
    let pages = small(found.len().div_ceil(PAGE_SIZE));
    let entries = found.chunks(PAGE_SIZE).nth(usize::try_from(number.checked_sub(1)?).ok()?)?.to_vec();
    Some(Page {
        count: small(found.len()),
        pages,
        next: (number < pages).then_some(number + 1),
        prev: (number > 1).then_some(number - 1),
        entries,
    })
}
