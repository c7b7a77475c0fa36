//! Examples of the commands whose definitions have none. A test parses every one of them.

/// Commands by their words, with the text below their help.
pub(super) const EXAMPLES: [(&[&str], &str); 62] = [
    (&["list"], "Examples:\n  cutover list\n  cutover list --no-headers\n  cutover list --json"),
    (&["get"], "Example:\n  cutover get reviews_read"),
    (
        &["enable"],
        "Examples:\n  cutover enable reviews_read\n  cutover enable reviews_read --yes --reason ticket-4711",
    ),
    (&["disable"], "Example:\n  cutover disable reviews_read --reason complaints"),
    (&["status"], "Examples:\n  cutover status\n  cutover status --json --context live"),
    (
        &["compare", "report"],
        "Examples:\n  cutover compare report\n  cutover compare report reviews_read --noise",
    ),
    (&["route", "delete"], "Example:\n  cutover route delete reviews.write --reason ticket-4711"),
    (&["route", "list"], "Example:\n  cutover route list"),
    (&["experiment", "list"], "Example:\n  cutover experiment list"),
    (&["experiment", "get"], "Example:\n  cutover experiment get checkout"),
    (&["experiment", "status"], "Example:\n  cutover experiment status checkout"),
    (&["experiment", "watch"], "Example:\n  cutover experiment watch checkout"),
    (&["experiment", "replay"], "Example:\n  cutover experiment replay checkout"),
    (
        &["experiment", "plan"],
        "Example:\n  cutover experiment plan checkout --baseline 4% --users-per-day 2000",
    ),
    (
        &["experiment", "create"],
        "Examples:\n  cutover experiment create checkout --description 'A new button'\n  \
         cutover experiment create checkout --flag checkout --traffic-percentage 20",
    ),
    (&["experiment", "start"], "Example:\n  cutover experiment start checkout --wait"),
    (&["experiment", "pause"], "Example:\n  cutover experiment pause checkout --reason complaints"),
    (
        &["experiment", "stop"],
        "Examples:\n  cutover experiment stop checkout --reason 'no effect'\n  \
         cutover experiment stop checkout --winner treatment --reason 'more orders'",
    ),
    (&["experiment", "assign"], "Example:\n  cutover experiment assign checkout user-123 --with country=NO"),
    (&["experiment", "delete"], "Example:\n  cutover experiment delete checkout"),
    (
        &["create-ab-test"],
        "Example:\n  cutover create-ab-test checkout 'A new button' --traffic-percentage 50",
    ),
    (&["route", "get"], "Example:\n  cutover route get reviews.read"),
    (&["export"], "Example:\n  cutover export > cutover.yaml"),
    (&["whoami"], "Example:\n  cutover whoami --context live"),
    (&["metrics"], "Examples:\n  cutover metrics\n  cutover metrics --flag reviews_read"),
    (&["restore"], "Example:\n  cutover restore --yes --reason ticket-4711"),
    (&["version"], "Example:\n  cutover version"),
    (&["man"], "Example:\n  cutover man ~/.local/share/man/man1"),
    (&["audit", "show"], "Example:\n  cutover audit show 17"),
    (&["audit", "verify"], "Example:\n  cutover audit verify"),
    (&["token", "list"], "Example:\n  cutover token list"),
    (&["token", "create"], "Example:\n  cutover token create ann --role operator --expires 30d > ann.token"),
    (&["token", "rotate"], "Example:\n  cutover token rotate 9f86d081884c --grace 1h > ann.token"),
    (&["token", "revoke"], "Example:\n  cutover token revoke 9f86d081884c --reason ticket-4711"),
    (&["changes", "list"], "Example:\n  cutover changes list"),
    (&["changes", "show"], "Example:\n  cutover changes show 8c3f6a1e"),
    (&["changes", "approve"], "Example:\n  cutover changes approve 8c3f6a1e"),
    (&["changes", "withdraw"], "Example:\n  cutover changes withdraw 8c3f6a1e --reason obsolete"),
    (&["flag", "list"], "Example:\n  cutover flag list"),
    (&["flag", "get"], "Example:\n  cutover flag get reviews_read"),
    (&["flag", "create"], "Example:\n  cutover flag create reviews_read --description 'GraphQL for reviews'"),
    (&["flag", "edit"], "Example:\n  cutover flag edit reviews_read"),
    (&["flag", "delete"], "Example:\n  cutover flag delete reviews_read --reason ticket-4711"),
    (&["flag", "stale"], "Example:\n  cutover flag stale"),
    (&["value", "list"], "Example:\n  cutover value list"),
    (&["value", "get"], "Example:\n  cutover value get button"),
    (
        &["value", "create"],
        "Examples:\n  cutover value create new_search --description 'The new search'\n  \
         cutover value create button --type string --variant blue=B --variant red=R",
    ),
    (&["value", "edit"], "Example:\n  cutover value edit button --reason ticket-4711"),
    (&["value", "enable"], "Example:\n  cutover value enable button --wait"),
    (&["value", "disable"], "Example:\n  cutover value disable button --reason complaints"),
    (&["value", "explain"], "Example:\n  cutover value explain button --user u1 --with header:plan=gold"),
    (&["value", "delete"], "Example:\n  cutover value delete button --reason ticket-4711"),
    (&["segment", "list"], "Example:\n  cutover segment list"),
    (&["segment", "get"], "Example:\n  cutover segment get staff"),
    (
        &["segment", "create"],
        "Examples:\n  cutover segment create staff --include ann --include bob\n  \
         cutover segment create north --condition 'country in NO,SE'",
    ),
    (&["segment", "edit"], "Example:\n  cutover segment edit staff"),
    (&["segment", "delete"], "Example:\n  cutover segment delete staff --reason ticket-4711"),
    (
        &["context", "add"],
        "Examples:\n  cutover context add staging --url https://staging.example\n  \
         cutover context add live --url https://live.example --production \\\n    --token-stdin < live.token",
    ),
    (&["context", "list"], "Example:\n  cutover context list"),
    (&["context", "use"], "Example:\n  cutover context use staging"),
    (&["context", "remove"], "Example:\n  cutover context remove staging"),
    (&["context", "show"], "Examples:\n  cutover context show\n  cutover context show live"),
];
