//! A simulator of IAM, for the policies of `infra`: it decides requests as the vendor documents it.

pub mod dynamodb;
pub mod policy;
pub mod role;
