//! The policies of a deployment as Terraform made them, evaluated: those of the functions' roles, and those that let
//! callers use a function's URL.

use crate::permissions::table;
use cutover_tests::iam::{
    dynamodb::table_arn,
    policy::{Decision, Policy, Request},
    role::table_policy,
};
use serde_json::{Value, json};

/// Context key with the authentication of the URL through which a function is called.
const AUTH_TYPE: &str = "lambda:FunctionUrlAuthType";

/// Context key that is true for a call through a function's URL.
const VIA_URL: &str = "lambda:InvokedViaFunctionUrl";

/// A request and the decision that it must get.
struct Case {
    request: Request,
    is_allowed: bool,
    /// The resource or the call, for messages.
    subject: String,
}

impl Case {
    /// Returns a description of a policy's decision if it is the wrong one.
    fn fault(&self, policy: &Policy) -> Option<String> {
        let is_right = (policy.decide(&self.request) == Decision::Allowed) == self.is_allowed;
        let decided = if self.is_allowed { "denied" } else { "allowed" };
        (!is_right).then(|| format!("{} ({}) is {decided}", self.subject, self.request.action))
    }
}

/// The resources of a deployment, as `terraform show -json` lists them.
pub struct Deployed<'d> {
    resources: &'d [Value],
}

impl<'d> Deployed<'d> {
    /// Takes the resources of a state.
    pub fn new(resources: &'d [Value]) -> Self {
        Self { resources }
    }

    /// Returns the index and the values of all resources of a type.
    fn all(&self, kind: &str) -> Vec<(&'d str, &'d Value)> {
        self.resources
            .iter()
            .filter(|resource| resource["type"] == kind)
            .map(|resource| (resource["index"].as_str().unwrap_or_default(), &resource["values"]))
            .collect()
    }

    /// Returns each decision on the functions' own calls that is wrong: of the table, secrets and logs.
    pub fn faults_of_roles(&self) -> Vec<String> {
        let mut tables = self.all("aws_dynamodb_table");
        tables.retain(|(_, values)| !string(values, "name").ends_with("-arrivals"));
        let [(_, values)] = tables.as_slice() else { panic!("one table was expected: {tables:#?}") };
        let (table, arn) = (string(values, "name"), string(values, "arn"));
        assert_eq!(arn, table_arn(table), "the emulator is at another place than the simulator");
        let functions = self.all("aws_lambda_function");
        assert!(functions.len() >= 4, "{functions:#?}");
        let mut faults = Vec::new();
        for (function, values) in functions {
            let policy = self.policy_of_role(string(values, "role"));
            // Several functions may run one program, which needs the same everywhere.
            let program = string(values, "filename").rsplit('/').nth(1).expect("a folder");
            if policy.of_service("dynamodb") != table_policy(program, arn) {
                faults.push(format!(
                    "{function}: Terraform makes another policy than the simulator: {policy:#?}"
                ));
            }
            faults.extend(table::faults(program, &policy, table));
            let cases = self.secrets_of(program, values).into_iter().chain(self.logs_of(function));
            let wrong = cases.filter_map(|case| case.fault(&policy));
            faults.extend(wrong.map(|fault| format!("{function}: {fault}")));
        }
        faults
    }

    /// Returns the policy of the role with an ARN, which has one.
    fn policy_of_role(&self, arn: &str) -> Policy {
        let role = arn.rsplit('/').next().expect("a name");
        let mut own = self.all("aws_iam_role_policy");
        own.retain(|(_, values)| values["role"] == role);
        let [(_, values)] = own.as_slice() else { panic!("one policy was expected for {role}: {own:#?}") };
        Policy::parse(serde_json::from_str(string(values, "policy")).expect("a policy is JSON"))
    }

    /// Returns the cases of secrets: a function reads those that its environment names, and changes none. Management may
    /// read that of root even if its environment does not name it: the version before may name it.
    fn secrets_of(&self, program: &str, values: &Value) -> Vec<Case> {
        let environment = values["environment"][0]["variables"].as_object().expect("variables");
        let another = "arn:aws:secretsmanager:us-east-1:123456789012:secret:another-AbCdEf";
        let mut secrets = vec![("another", another)];
        secrets.extend(
            self.all("aws_secretsmanager_secret")
                .into_iter()
                .map(|(secret, values)| (secret, string(values, "arn"))),
        );
        let mut cases = Vec::new();
        for (secret, arn) in secrets {
            let is_named = environment.values().any(|value| value == arn);
            let is_read = is_named || (program == "management" && secret == "root");
            for (action, is_allowed) in
                [("GetSecretValue", is_read), ("PutSecretValue", false), ("DeleteSecret", false)]
            {
                let request = Request::new(&format!("secretsmanager:{action}"), arn);
                cases.push(Case { request, is_allowed, subject: format!("the secret {secret}") });
            }
        }
        cases
    }

    /// Returns the cases of logs: a function writes its own.
    fn logs_of(&self, function: &str) -> Vec<Case> {
        let mut cases = Vec::new();
        for (group, values) in self.all("aws_cloudwatch_log_group") {
            let stream = format!("{}:log-stream:2026/01/01/[$LATEST]7f", string(values, "arn"));
            for (action, is_needed) in
                [("CreateLogStream", true), ("PutLogEvents", true), ("DeleteLogStream", false)]
            {
                let request = Request::new(&format!("logs:{action}"), &stream);
                let is_allowed = is_needed && group == function;
                cases.push(Case { request, is_allowed, subject: format!("the logs of {group}") });
            }
        }
        cases
    }

    /// Returns each decision on calls from outside that is wrong. Since October 2025 a request through a URL needs both
    /// lambda:InvokeFunctionUrl and lambda:InvokeFunction ("Control access to Lambda function URLs").
    pub fn faults_of_urls(&self) -> Vec<String> {
        let public: Vec<String> = self
            .all("aws_lambda_function_url")
            .into_iter()
            .filter(|(_, values)| values["authorization_type"] == "NONE")
            .map(|(_, values)| target(values))
            .collect();
        assert!(!public.is_empty(), "no function has a public URL");
        let policy = Policy::parse(json!({ "Version": "2012-10-17", "Statement": self.statements() }));
        let functions = self.all("aws_lambda_function").into_iter().map(|(_, values)| target(values));
        let mut faults = Vec::new();
        for called in functions.filter(|name| !public.contains(name)).chain(public.iter().cloned()) {
            let is_public = public.contains(&called);
            let case = |subject: &str, action: &str, context: [&[&str]; 2], is_allowed: bool| Case {
                request: Request::new(&format!("lambda:{action}"), &called)
                    .with(AUTH_TYPE, context[0])
                    .with(VIA_URL, context[1]),
                is_allowed,
                subject: format!("{called}: {subject} of anybody"),
            };
            let cases = [
                case("the use of the URL", "InvokeFunctionUrl", [&["NONE"], &[]], is_public),
                case("the call through the URL", "InvokeFunction", [&[], &["true"]], is_public),
                case("the use of a URL with signatures", "InvokeFunctionUrl", [&["AWS_IAM"], &[]], false),
                case("a call past the URL", "InvokeFunction", [&[], &[]], false),
                case("a call that is not through the URL", "InvokeFunction", [&[], &["false"]], false),
                case("new code", "UpdateFunctionCode", [&[], &[]], false),
            ];
            faults.extend(cases.iter().filter_map(|case| case.fault(&policy)));
        }
        faults
    }

    /// Returns the statements that Lambda makes of the permissions of a deployment. Their resource is the function's name
    /// instead of its ARN, with its alias.
    fn statements(&self) -> Vec<Value> {
        let mut statements = Vec::new();
        for (_, values) in self.all("aws_lambda_permission") {
            for unknown in ["source_arn", "source_account", "principal_org_id"] {
                assert_eq!(values[unknown].as_str().unwrap_or_default(), "", "{unknown} is not simulated");
            }
            statements.push(
                Permission {
                    function: &target(values),
                    action: string(values, "action"),
                    principal: string(values, "principal"),
                    auth_type: values["function_url_auth_type"].as_str(),
                    is_via_url: values["invoked_via_function_url"] == true,
                }
                .statement(),
            );
        }
        for (_, values) in self.all("aws_cloudformation_stack") {
            let template = string(values, "template_body");
            let template: Value = serde_json::from_str(template)
                .unwrap_or_else(|error| panic!("a template that is not JSON: {error}: {template}"));
            let resources = template["Resources"].as_object().expect("resources");
            for resource in resources.values().filter(|made| made["Type"] == "AWS::Lambda::Permission") {
                let properties = &resource["Properties"];
                statements.push(
                    Permission {
                        function: name_of(string(properties, "FunctionName")),
                        action: string(properties, "Action"),
                        principal: string(properties, "Principal"),
                        auth_type: properties["FunctionUrlAuthType"].as_str(),
                        is_via_url: properties["InvokedViaFunctionUrl"] == true,
                    }
                    .statement(),
                );
            }
        }
        statements
    }
}

/// A permission to call a function, as AddPermission and CloudFormation take it.
struct Permission<'p> {
    function: &'p str,
    action: &'p str,
    principal: &'p str,
    auth_type: Option<&'p str>,
    is_via_url: bool,
}

impl Permission<'_> {
    /// Returns the statement that Lambda adds to the function's policy.
    fn statement(&self) -> Value {
        let principal = match self.principal {
            "*" => json!("*"),
            service if service.ends_with(".amazonaws.com") => json!({ "Service": service }),
            account => json!({ "AWS": account }),
        };
        let mut condition = json!({});
        if let Some(auth_type) = self.auth_type.filter(|auth_type| !auth_type.is_empty()) {
            condition["StringEquals"] = json!({ AUTH_TYPE: auth_type });
        }
        if self.is_via_url {
            condition["Bool"] = json!({ VIA_URL: "true" });
        }
        json!({
            "Effect": "Allow",
            "Principal": principal,
            "Action": self.action,
            "Resource": self.function,
            "Condition": condition,
        })
    }
}

/// Returns the function that a URL or a permission belongs to: its name, and its alias behind a colon.
fn target(values: &Value) -> String {
    let name = name_of(string(values, "function_name"));
    match values["qualifier"].as_str() {
        Some(alias) if !alias.is_empty() => format!("{name}:{alias}"),
        _ => name.to_owned(),
    }
}

/// Returns the name of a function, with its alias if it has one, from a name or an ARN.
fn name_of(function: &str) -> &str {
    function.rsplit_once(":function:").map_or(function, |(_, name)| name)
}

fn string<'v>(values: &'v Value, name: &str) -> &'v str {
    values[name].as_str().unwrap_or_else(|| panic!("no string {name}: {values:#}"))
}

/// A deployment in the form of Terraform's state, with one function and the given permissions.
fn with_permissions(permissions: &[Value], stacks: &[Value]) -> Vec<Value> {
    let mut resources = vec![
        json!({ "type": "aws_lambda_function", "index": "f", "values": { "function_name": "f", "qualifier": null } }),
        json!({ "type": "aws_lambda_function_url", "index": "f", "values": {
            "function_name": "f", "qualifier": "live", "authorization_type": "NONE",
        }}),
    ];
    let resource = |kind: &str, values: &Value| json!({ "type": kind, "values": values });
    resources.extend(permissions.iter().map(|values| resource("aws_lambda_permission", values)));
    resources.extend(stacks.iter().map(|values| resource("aws_cloudformation_stack", values)));
    resources
}

#[test]
fn a_url_needs_two_permissions_and_no_more() {
    let permission = |action: &str, more: Value| {
        let mut values =
            json!({ "function_name": "f", "qualifier": "live", "principal": "*", "action": action });
        values.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        values
    };
    let url = permission("lambda:InvokeFunctionUrl", json!({ "function_url_auth_type": "NONE" }));
    let via_url = permission("lambda:InvokeFunction", json!({ "invoked_via_function_url": true }));
    let open = permission("lambda:InvokeFunction", json!({}));
    let template = json!({ "Resources": { "Url": { "Type": "AWS::Lambda::Permission", "Properties": {
        "Action": "lambda:InvokeFunction",
        "FunctionName": "f:live",
        "Principal": "*",
        "InvokedViaFunctionUrl": true,
    }}}});
    let stack = json!({ "template_body": template.to_string() });
    let faults = |permissions: &[Value], stacks: &[Value]| {
        Deployed::new(&with_permissions(permissions, stacks)).faults_of_urls()
    };
    let none = Vec::<String>::new();
    assert_eq!(faults(&[url.clone(), via_url.clone()], &[]), none);
    let url_alone = std::slice::from_ref(&url);
    assert_eq!(faults(url_alone, &[stack]), none, "the second one from CloudFormation");
    let denied = ["f:live: the call through the URL of anybody (lambda:InvokeFunction) is denied"];
    assert_eq!(faults(url_alone, &[]), denied);
    let denied = ["f:live: the use of the URL of anybody (lambda:InvokeFunctionUrl) is denied"];
    assert_eq!(faults(&[via_url], &[]), denied);
    // Without its condition, the second one lets everybody call the function past the URL.
    let allowed = faults(&[url, open], &[]);
    assert_eq!(allowed.len(), 2, "{allowed:#?}");
    assert!(allowed.iter().all(|fault| fault.contains("(lambda:InvokeFunction) is allowed")), "{allowed:#?}");
}
