"""The emulator, with what moto 5.2.5 lacks and Terraform looks at: the logging of a function, and the
account's limits. Its CloudFormation imports the models of all services; the packages that only those of other
services need are not installed, and stand-ins take their place."""

import importlib.abc
import importlib.machinery
import json
import sys
import types

# Packages of services that no test uses.
UNUSED = {"aws_xray_sdk", "cfnlint", "docker", "graphql", "jsonpath_ng", "openapi_spec_validator", "py_partiql_parser"}


class StandIn(types.ModuleType):
    """A module whose every name is a class without content."""

    __path__ = []

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (Exception,), {})


class StandIns(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the stand-ins, behind everything that is installed."""

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in UNUSED:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        return StandIn(spec.name)

    def exec_module(self, module):
        pass


sys.meta_path.append(StandIns())

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
