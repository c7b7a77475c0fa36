//! Prints the schema of the new backend. A test checks that `tests/reviews/schema.graphql` is the
//! same.

fn main() {
    print!("{}", cutover_origins::sdl());
}
