//! What Terraform made, resource by resource, as `terraform show -json` tells it.

use cutover_tests::{
    cost::bill::ALARMS,
    iam::role::{arrivals_permissions, functions, permissions},
    paths,
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The functions that have a URL.
pub const WITH_URL: [&str; 4] = ["ask", "emergency", "ingest", "management"];

/// Alarms that anybody can cause by calling a URL, and that must call nobody.
const SHOWN_ONLY: [&str; 2] = ["batches-refused", "sign-in-refused"];

/// Alarms without which something would break in silence.
const NEEDED: [&str; 27] = [
    "arrivals-SystemErrors",
    "arrivals-ThrottledRequests",
    "batches-failed",
    "dead-letters",
    "dead-letters-old",
    "emergency-failing",
    "emergency-in-force",
    "emergency-slow",
    "emergency-throttled",
    "evaluate-failed",
    "evaluate-missing",
    "evaluate-throttled",
    "evaluation-lag",
    "ingest-failing",
    "ingest-slow",
    "ingest-throttled",
    "management-failing",
    "management-slow",
    "management-throttled",
    "promote-failed",
    "promote-missing",
    "promote-slow",
    "promote-throttled",
    "publication-lag",
    "secret-unreadable",
    "table-SystemErrors",
    "table-ThrottledRequests",
];

/// Actions that CloudWatch does not count by themselves: parts of a transaction, and questions about a table or its stream.
const UNCOUNTED: [&str; 4] = ["ConditionCheckItem", "DescribeStream", "DescribeTable", "GetShardIterator"];

/// Most metrics that CloudWatch allows in an alarm.
const MOST_METRICS: usize = 10;

/// The resources of one type, by their index; a resource without one has the empty index.
pub fn of_type<'r>(resources: &'r [Value], kind: &str) -> BTreeMap<&'r str, &'r Value> {
    let of_type =
        resources.iter().filter(|resource| resource["type"] == kind && resource["mode"] == "managed");
    of_type.map(|resource| (resource["index"].as_str().unwrap_or_default(), &resource["values"])).collect()
}

/// Both actions are allowed for every URL that is open to all: AWS answers 403 otherwise.
pub fn every_url_has_both_statements(resources: &[Value]) {
    let urls = of_type(resources, "aws_lambda_function_url");
    assert!(urls.values().all(|url| url["authorization_type"] == "NONE" && url["qualifier"] == "live"));
    let urls: BTreeSet<&str> = urls.into_keys().collect();
    assert_eq!(urls, BTreeSet::from(WITH_URL));
    let allowed = of_type(resources, "aws_lambda_permission");
    for (name, statement) in &allowed {
        assert_eq!(statement["action"], "lambda:InvokeFunctionUrl", "{name}");
        assert_eq!(statement["function_url_auth_type"], "NONE", "{name}");
        assert_eq!(statement["qualifier"], "live", "{name}");
    }
    assert_eq!(allowed.into_keys().collect::<BTreeSet<_>>(), urls, "lambda:InvokeFunctionUrl");
    let stack = of_type(resources, "aws_cloudformation_stack")[""];
    let template: Value = serde_json::from_str(stack["template_body"].as_str().unwrap()).unwrap();
    let mut invokable = BTreeSet::new();
    for resource in template["Resources"].as_object().unwrap().values() {
        assert_eq!(resource["Type"], "AWS::Lambda::Permission");
        let statement = &resource["Properties"];
        assert_eq!(statement["Action"], "lambda:InvokeFunction", "{statement}");
        assert_eq!(
            (&statement["InvokedViaFunctionUrl"], &statement["Principal"]),
            (&true.into(), &"*".into())
        );
        let name = statement["FunctionName"].as_str().unwrap();
        invokable.insert(name.strip_prefix("cutover-staging-").unwrap().strip_suffix(":live").unwrap());
    }
    assert_eq!(invokable, urls, "lambda:InvokeFunction");
}

/// Functions log JSON without Lambda's own lines, and have the memory and the time of the variables.
pub fn functions_are_as_described(resources: &[Value]) {
    let functions = of_type(resources, "aws_lambda_function");
    assert_eq!(functions.len(), 6);
    for (name, function) in &functions {
        let logging = &function["logging_config"][0];
        assert_eq!(logging["log_format"], "JSON", "{name}");
        assert_eq!(logging["system_log_level"], "WARN", "{name}");
        let level = if ["ask", "ingest"].contains(name) { "WARN" } else { "INFO" };
        assert_eq!(logging["application_log_level"], level, "{name}");
        let memory = if *name == "evaluate" { 512 } else { 256 };
        assert_eq!(function["memory_size"], memory, "{name}");
    }
    // The same program, with the part that it serves.
    let of = |name: &str, variable: &str| functions[name]["environment"][0]["variables"][variable].clone();
    assert_eq!(functions["emergency"]["source_code_hash"], functions["management"]["source_code_hash"]);
    assert_eq!(of("emergency", "CUTOVER_EMERGENCY_ONLY"), "true");
    assert_eq!(of("management", "CUTOVER_EMERGENCY_ONLY"), Value::Null);
    // `promote` begins phases too while it stands in for `evaluate`, and `management` tells what they remember.
    for name in ["evaluate", "promote", "management"] {
        assert_eq!(of(name, "CUTOVER_EXPERIMENT_USERS"), "16384", "{name}");
    }
}

/// Every alarm has a chapter, and calls the topic, unless anybody can cause it.
pub fn alarms_call_somebody(resources: &[Value]) {
    let topic = &of_type(resources, "aws_sns_topic")[""]["arn"];
    let runbook = std::fs::read_to_string(paths::root().join("docs/OPERATIONS.md")).unwrap();
    let alarms = resources.iter().filter(|resource| resource["type"] == "aws_cloudwatch_metric_alarm");
    let mut names = BTreeSet::new();
    for alarm in alarms.map(|resource| &resource["values"]) {
        let name = alarm["alarm_name"].as_str().unwrap().strip_prefix("cutover-staging-").unwrap();
        let description = alarm["alarm_description"].as_str().unwrap();
        let chapter = description.split("docs/OPERATIONS.md#").nth(1).unwrap();
        assert!(runbook.contains(&format!("\n## {chapter}\n")), "{name} has no chapter {chapter}");
        let called = alarm["alarm_actions"].as_array().is_some_and(|actions| actions.contains(topic));
        assert_eq!(called, !SHOWN_ONLY.contains(&name), "{name}: {}", alarm["alarm_actions"]);
        names.insert(name);
    }
    let missing: Vec<_> = NEEDED.iter().chain(&SHOWN_ONLY).filter(|name| !names.contains(**name)).collect();
    assert_eq!(missing, Vec::<&&str>::new());
}

/// Returns the metrics that an alarm watches, each as its name and its dimensions.
fn metrics(alarm: &Value) -> Vec<(&str, &Value)> {
    let queries = alarm["metric_query"].as_array().map(Vec::as_slice).unwrap_or_default();
    let added_up = queries.iter().filter_map(|query| query["metric"].get(0));
    let alone = alarm["metric_name"].as_str().filter(|name| !name.is_empty()).map(|_| alarm);
    let watched = added_up.chain(alone);
    watched.map(|metric| (metric["metric_name"].as_str().unwrap(), &metric["dimensions"])).collect()
}

/// Throttled and failed requests to each table are watched, whichever operation they are of that a function may call.
/// The bill counts every metric that an alarm watches.
pub fn every_operation_on_a_table_is_watched(resources: &[Value]) {
    let counted = |action: &str| {
        let operation = action.strip_prefix("dynamodb:").unwrap();
        (!UNCOUNTED.contains(&operation)).then(|| operation.to_owned())
    };
    let mut called = BTreeSet::from([("cutover-staging", "TransactWriteItems".to_owned())]);
    for function in functions() {
        let own = permissions(&function).into_keys().filter_map(|action| counted(&action));
        called.extend(own.map(|operation| ("cutover-staging", operation)));
        let own = arrivals_permissions(&function);
        let own = own.iter().filter_map(|action| counted(action));
        called.extend(own.map(|operation| ("cutover-staging-arrivals", operation)));
    }
    assert!(called.len() >= 9, "{called:?}");
    let wanted = called.iter().flat_map(|(table, operation)| {
        ["SystemErrors", "ThrottledRequests"].map(|metric| (metric, *table, operation.as_str()))
    });
    let (mut watched, mut billed) = (BTreeSet::new(), 0_u32);
    for resource in resources.iter().filter(|resource| resource["type"] == "aws_cloudwatch_metric_alarm") {
        let metrics = metrics(&resource["values"]);
        assert!((1..=MOST_METRICS).contains(&metrics.len()), "{resource:#}");
        billed += u32::try_from(metrics.len()).unwrap();
        for (metric, dimensions) in metrics {
            if let Some(table) = dimensions["TableName"].as_str() {
                watched.insert((metric, table, dimensions["Operation"].as_str().unwrap()));
            }
        }
    }
    assert_eq!(watched, wanted.collect::<BTreeSet<_>>());
    assert_eq!(f64::from(billed), ALARMS, "cost/bill.rs counts the metrics of alarms");
}

/// Returns a table by its name in the configuration.
fn table<'r>(resources: &'r [Value], name: &str) -> &'r Value {
    let is_it = |resource: &&Value| resource["type"] == "aws_dynamodb_table" && resource["name"] == name;
    &resources.iter().find(is_it).unwrap_or_else(|| panic!("no table {name}"))["values"]
}

/// The table has a backup. The batches of isolates, which are many and worthless once they are folded, have none.
pub fn the_table_alone_is_backed_up(resources: &[Value]) {
    let is_backed_up = |name: &str| table(resources, name)["point_in_time_recovery"][0]["enabled"] == true;
    assert!(is_backed_up("cutover"), "the table could not be restored");
    assert!(!is_backed_up("arrivals"), "M6: a backup of the batches would cost more than all others");
    assert_eq!(table(resources, "arrivals")["name"], "cutover-staging-arrivals");
}

/// For this many days nothing else can have the name of a secret that was deleted.
pub fn secrets_can_be_restored_for(resources: &[Value], days: u32) {
    let secrets = of_type(resources, "aws_secretsmanager_secret");
    assert!(secrets.len() >= 4, "{secrets:#?}");
    for (name, secret) in secrets {
        assert_eq!(secret["recovery_window_in_days"], days, "{name}");
    }
}

/// What URLs and schedules call is the alias, and all functions have been given the same version.
pub fn aliases_are_at(resources: &[Value], version: &str) {
    let aliases = of_type(resources, "aws_lambda_alias");
    assert_eq!(aliases.len(), 6);
    for (name, alias) in &aliases {
        assert_eq!(alias["name"], "live", "{name}");
        assert_eq!(alias["function_version"], version, "{name}");
    }
    for (name, schedule) in of_type(resources, "aws_scheduler_schedule") {
        assert_eq!(schedule["target"][0]["arn"], aliases[name]["arn"], "{name}");
    }
}

/// In production every function has instances of its own, so a flood of one leaves the others theirs; evaluation has enough
/// for those that stand by. CloudFront counts the requests of every address in front of management and ingest.
pub fn no_flood_reaches_another_function(planned: &[Value]) {
    let functions = of_type(planned, "aws_lambda_function");
    let reserved = |name: &str| functions[name]["reserved_concurrent_executions"].as_i64().unwrap();
    assert_eq!(functions.len(), 6);
    for name in functions.keys() {
        let least = if *name == "evaluate" { 4 } else { 1 };
        assert!(reserved(name) >= least, "{name} has {} instances of its own", reserved(name));
    }
    let front = planned.iter().find(|resource| resource["type"] == "aws_cloudfront_distribution");
    let front = &front.expect("a distribution")["values"];
    assert_eq!(front["enabled"], true);
    let to = |behaviour: &Value| behaviour["target_origin_id"].as_str().unwrap().to_owned();
    assert_eq!(to(&front["default_cache_behavior"][0]), "management");
    let by_path = &front["ordered_cache_behavior"][0];
    assert_eq!((by_path["path_pattern"].as_str(), to(by_path)), (Some("/v1/*"), "ingest".to_owned()));
}

/// Every path has the limit of management but those that isolates call, which share few addresses, and all are counted.
pub fn every_path_has_a_limit(planned: &[Value]) {
    let acl = planned.iter().find(|resource| resource["type"] == "aws_wafv2_web_acl").expect("a web ACL");
    let limits = |path: &str| -> BTreeSet<u64> {
        let rules = acl["values"]["rule"].as_array().unwrap();
        let rules = rules.iter().map(|rule| &rule["statement"][0]["rate_based_statement"][0]);
        let counting = rules.filter(|rate| {
            rate["scope_down_statement"].get(0).is_none_or(|statement| matches(statement, path))
        });
        counting.map(|rate| rate["limit"].as_u64().unwrap()).collect()
    };
    for path in ["/v1/batches", "/v1/questions"] {
        assert_eq!(limits(path), BTreeSet::from([600_000]), "{path}");
    }
    for path in [
        "/",
        "/api/migration/flags",
        "/favicon.ico",
        "/v1",
        "/v1/batches/",
        "/v2/batches",
        "//v1/batches",
        "/v1/../api/migration/flags",
        "/%76%31/batches",
    ] {
        assert_eq!(limits(path), BTreeSet::from([1_000, 600_000]), "{path}");
    }
}

/// Returns true if a statement of a web ACL matches a path, as far as the statements of `front` go.
fn matches(statement: &Value, path: &str) -> bool {
    let of_kind = |kind: &str| statement[kind].get(0);
    if let Some(negated) = of_kind("not_statement") {
        return !matches(&negated["statement"][0], path);
    }
    if let Some(any) = of_kind("or_statement") {
        return any["statement"].as_array().unwrap().iter().any(|statement| matches(statement, path));
    }
    let string =
        of_kind("byte_match_statement").unwrap_or_else(|| panic!("an unknown statement: {statement}"));
    assert_eq!(string["text_transformation"][0]["type"], "NONE", "{string}");
    let wanted = string["search_string"].as_str().unwrap();
    match string["positional_constraint"].as_str().unwrap() {
        "EXACTLY" => path == wanted,
        "STARTS_WITH" => path.starts_with(wanted),
        other => panic!("an unknown constraint: {other}"),
    }
}
