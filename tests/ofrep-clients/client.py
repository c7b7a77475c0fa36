"""The provider for Python: each evaluation is a request."""

import json
import os
import time
import urllib.request

from openfeature import api
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext

URL = os.environ["OFREP_URL"]
TOKEN = os.environ["OFREP_TOKEN"]
WEB_TOKEN = os.environ["OFREP_WEB_TOKEN"]
ANN = EvaluationContext("ann")


def client_of(domain, token=TOKEN):
    """Return a client of a provider of its own."""
    headers = {"Authorization": f"Bearer {token}"}
    api.set_provider_and_wait(OFREPProvider(URL, headers_factory=lambda: headers), domain)
    return api.get_client(domain)


def answer_with(*statuses):
    """Set the statuses with which the next requests are answered, and forget those that were given."""
    request = urllib.request.Request(
        f"{URL}/statuses",
        data=json.dumps(statuses).encode(),
        headers={"content-type": "application/json"},
        method="PUT",
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        assert response.status == 200, response.status


def given():
    """Return the statuses that were given since `answer_with` was called last."""
    with urllib.request.urlopen(f"{URL}/statuses", timeout=10) as response:
        return json.load(response)


def is_equal(found, expected):
    """Fail unless both are the same."""
    assert found == expected, f"{found!r} is not {expected!r}"


def code_of(client, key, context=ANN):
    """Return the error code of an evaluation as a string."""
    code = client.get_string_details(key, "default", context).error_code
    return getattr(code, "value", code)


def evaluates_values_of_each_type():
    """Values, reasons and variants arrive with their types."""
    client = client_of("types")
    is_equal(client.get_boolean_value("switch", False, ANN), True)
    is_equal(client.get_string_value("colour", "none", ANN), "#00f")
    is_equal(client.get_float_value("shop.discount", 0.0, ANN), 2.5)
    is_equal(client.get_object_value("limits", {}, ANN), {"items": 3})
    details = client.get_string_details("shop.split", "none", ANN)
    is_equal(getattr(details.reason, "value", details.reason), "SPLIT")
    assert details.variant in ("a", "b"), details.variant
    is_equal(set(given()), {200})


def follows_the_context_of_each_evaluation():
    """Attributes decide."""
    client = client_of("context")
    gold = EvaluationContext("ann", {"plan": "gold"})
    is_equal(client.get_string_value("colour", "none", gold), "#0f0")
    is_equal(client.get_string_value("colour", "none", ANN), "#00f")


def tells_the_errors_of_an_evaluation_apart():
    """Errors have their codes."""
    client = client_of("errors")
    is_equal(code_of(client, "none"), "FLAG_NOT_FOUND")
    nobody = EvaluationContext(attributes={"plan": "free"})
    is_equal(code_of(client, "shop.split", nobody), "TARGETING_KEY_MISSING")
    is_equal(code_of(client, "switch"), "TYPE_MISMATCH")


def gives_the_default_to_a_caller_without_the_right():
    """401 and 403 end in the default."""
    is_equal(client_of("stranger", "wrong").get_string_value("colour", "default", ANN), "default")
    web = client_of("web", WEB_TOKEN)
    is_equal(web.get_boolean_value("switch", False, ANN), False)
    is_equal(web.get_string_value("colour", "default", ANN), "#00f")
    is_equal(given(), [401, 403, 200])


def waits_as_retry_after_says():
    """Within the second nothing is sent."""
    client = client_of("pace")
    answer_with(429)
    is_equal(client.get_string_value("colour", "default", ANN), "default")
    is_equal(client.get_string_value("colour", "default", ANN), "default")
    is_equal(given(), [429])
    time.sleep(1.1)
    is_equal(client.get_string_value("colour", "default", ANN), "#00f")
    is_equal(given(), [429, 200])


def recovers_from_failures():
    """A failure of the Worker ends in the default, and is over with the next answer."""
    client = client_of("failure")
    answer_with(503, 500)
    is_equal(client.get_string_value("colour", "default", ANN), "default")
    is_equal(client.get_string_value("colour", "default", ANN), "default")
    is_equal(client.get_string_value("colour", "default", ANN), "#00f")
    is_equal(given(), [503, 500, 200])


CASES = [
    evaluates_values_of_each_type,
    follows_the_context_of_each_evaluation,
    tells_the_errors_of_an_evaluation_apart,
    gives_the_default_to_a_caller_without_the_right,
    waits_as_retry_after_says,
    recovers_from_failures,
]

for case in CASES:
    answer_with()
    case()
    print(f"passed: {case.__name__}")
print("all cases passed")
