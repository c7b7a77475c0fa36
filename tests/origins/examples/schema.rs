//! Prints the schema of the new backend. `tests/reviews/schema.graphql` is this, and a test holds the two against each
//! other.

fn main() {
    print!("{}", cutover_origins::sdl());
}
