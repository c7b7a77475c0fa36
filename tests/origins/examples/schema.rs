//! Prints the schema of a new backend: that of the reviews, or with the argument `catalogue` that of the catalogue. Tests
//! check that the files in `tests/reviews` and `tests/catalogue` are the same.

fn main() {
    let is_catalogue = std::env::args().nth(1).is_some_and(|name| name == "catalogue");
    let sdl = if is_catalogue { cutover_origins::catalogue_sdl() } else { cutover_origins::sdl() };
    print!("{sdl}");
}
