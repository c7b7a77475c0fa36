"""The emulator, with what moto 5.2.5 lacks and Terraform looks at: the logging of a function, and the
account's limits."""

import json
import sys

from moto.awslambda import urls
from moto.awslambda.models import LambdaFunction
from moto.awslambda.responses import LambdaResponse
from moto.server import main

# The limits of a new account.
ACCOUNT = {"AccountLimit": {"ConcurrentExecutions": 10, "UnreservedConcurrentExecutions": 10}}

create = LambdaFunction.__init__
describe = LambdaFunction.get_configuration
update = LambdaFunction.update_configuration


def create_with_logging(self, *args, **kwargs):
    create(self, *args, **kwargs)
    self.logging_config = kwargs["spec"].get("LoggingConfig")


def describe_with_logging(self, *args, **kwargs):
    described = describe(self, *args, **kwargs)
    if getattr(self, "logging_config", None):
        described["LoggingConfig"] = self.logging_config
    return described


def update_with_logging(self, config_updates):
    self.logging_config = config_updates.get("LoggingConfig", self.logging_config)
    return update(self, config_updates)


def get_account_settings(self):
    return json.dumps(ACCOUNT)


LambdaFunction.__init__ = create_with_logging
LambdaFunction.get_configuration = describe_with_logging
LambdaFunction.update_configuration = update_with_logging
LambdaResponse.get_account_settings = get_account_settings
urls.url_paths[r"{0}/(?P<api_version>[^/]+)/account-settings/?$"] = LambdaResponse.dispatch

if __name__ == "__main__":
    sys.exit(main())
