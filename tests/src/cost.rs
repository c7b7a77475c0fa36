//! The cost of a deployment: list prices, measured units, the bill that they make, and its page.

pub mod bill;
pub mod limits;
pub mod page;
pub mod prices;
pub mod units;
