//! The Worker around flagd's evaluation core that the benchmark measures against.

/// Without this the benchmark would compare the costs of different work.
#[tokio::test]
async fn rules_give_the_values_that_flagd_gives() {
    cutover_tests::bench::ofrep::check().await;
}
