//! The Worker around flagd's evaluation core that the benchmark measures against. Without these tests the benchmark
//! would compare the costs of different work.

use cutover_tests::bench::ofrep::{check, refusals};

#[tokio::test]
async fn rules_give_the_values_that_flagd_gives() {
    check().await;
}

#[tokio::test]
async fn requests_are_refused_as_the_worker_around_flagd_refuses_them() {
    refusals::check().await;
}
