//! Pages, and parts that may be null.

use super::*;

#[test]
fn parts_that_may_be_null_are_paths_that_the_operation_selects() {
    let told = |entries: &str, root: &str| {
        problems(&of_pages(&format!(
            "        root: {root}\n        when_null: {entries}\n        response: {{ object: {{ i: items }} }}\n"
        )))
    };
    let none = Vec::<String>::new();
    assert_eq!(told("[{ status: 410 }, { at: info.count, status: 404 }]", "page"), none);
    assert_eq!(told("[{ at: info, status: 404 }, { at: info.pages, code: gone }]", "must"), none);
    assert_eq!(told("{ status: 404 }", "must"), none, "as before there were parts");
    let cases = [
        ("[{ at: info.cuont }]", "page", "P does not select cuont of Info | did you mean count?"),
        ("[{ at: items }]", "must", "items of P can never be null | remove it"),
        ("[{ at: . }]", "must", ". of P can never be null | remove it"),
        ("[{ at: items.id }]", "page", "is a list and has no field id"),
        ("[{ at: \"info..count\" }]", "page", "is not a path"),
        ("[{ at: { from: info } }]", "page", "expected a string, found a map"),
        ("[]", "page", "when_null has no entry | write a list such as [{ at: info.count"),
        ("[{ at: info, status: 302 }]", "page", "302 is out of range"),
        ("[{ at: info, status: read }]", "page", "from which a status could be read | write a number"),
        ("[{ at: info, mesage: gone }]", "page", "did you mean message?"),
    ];
    for (entries, root, expected) in cases {
        let told = told(entries, root);
        let is_there = told.len() == 1 && told[0].contains(expected) && told[0].starts_with("9:");
        assert!(is_there, "{entries}: {told:#?}");
    }
    // Several mistakes of an entry are told at once.
    assert_eq!(told("[{ at: info.cuont, status: 302, mesage: gone }]", "page").len(), 3);
    let stored = program(&of_pages(
        "        root: page\n        when_null: [{ at: info.count }]\n        response: items\n",
    ));
    let Some(WhenNull::Parts(parts)) = &stored.routes[0].when_null else { panic!("{stored:#?}") };
    assert_eq!(
        (parts[0].at.join("."), parts[0].fault.status),
        ("info.count".to_owned(), FaultStatus::Fixed(404))
    );
}

#[test]
fn a_wrong_pagination_is_followed_by_no_false_mistake() {
    let of = |more: &str| {
        of_variables(&format!("        pagination: {{ page: query.page, limit: query.limit, {more} }}\n"))
    };
    let cases = [
        ("offset: { skip: skipp, take: take }", "L declares no variable $skipp | did you mean skip?"),
        (
            "offset: { skip: after, take: take }",
            "$after of L is String, and the pagination sends a number | name",
        ),
        (
            "cursor: { first: take, after: skip, page_info: a.b, max_pages: 1.5 }",
            "L does not select hasNextPage",
        ),
        ("offset: { skip: skip }", "take is missing"),
        ("link: true", "exactly one of offset and cursor"),
        ("offset: { skip: skip, take: take }, link: 1", "expected true or false, found a number"),
    ];
    for (more, expected) in cases {
        let told = of(more);
        assert!(told.iter().any(|told| told.contains(expected)), "{more}: {told:#?}");
        let count = if more.starts_with("cursor") { 3 } else { 1 };
        assert!(told.len() == count, "{more}: {told:#?}");
    }
    let told = of_variables(
        "        variables: { take: query.n }\n        \
         pagination: { page: query.page, limit: query.limit, offset: { skip: skip, take: take } }\n",
    );
    assert_told(&told, &[("8:", "the pagination sends $take too | remove it here")]);
}
