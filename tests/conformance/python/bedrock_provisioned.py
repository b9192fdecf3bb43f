"""The unmodified boto3 client of Bedrock's control plane: provisioned throughput from purchase to end, as one JSON object on standard output."""

import json
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError


def client(service, url):
    return boto3.client(
        service,
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="secret",
        config=Config(retries={"total_max_attempts": 1}),
    )


def code_of(call):
    try:
        call()
    except ClientError as error:
        return error.response["Error"]["Code"]
    return "none"


def main(url):
    control, runtime = client("bedrock", url), client("bedrock-runtime", url)
    tags = [{"key": "cost", "value": "blue"}]
    order = {"provisionedModelName": "from-python", "modelId": "chat", "modelUnits": 2, "tags": tags}
    arn = control.create_provisioned_model_throughput(**order)["provisionedModelArn"]
    shown = control.get_provisioned_model_throughput(provisionedModelId=arn)
    answer = runtime.converse(modelId=arn, messages=[{"role": "user", "content": [{"text": "hi"}]}], serviceTier={"type": "reserved"})
    control.update_provisioned_model_throughput(provisionedModelId=arn, desiredProvisionedModelName="renamed")
    pages = control.get_paginator("list_provisioned_model_throughputs").paginate(nameContains="ren", sortOrder="Ascending")
    seen = {
        "status": shown["status"],
        "units": shown["modelUnits"],
        "created": shown["creationTime"].year > 2000,
        "tier": answer["serviceTier"]["type"],
        "names": [one["provisionedModelName"] for page in pages for one in page["provisionedModelSummaries"]],
        "tags": control.list_tags_for_resource(resourceARN=arn)["tags"],
        "taken": code_of(lambda: control.create_provisioned_model_throughput(**{**order, "provisionedModelName": "renamed"})),
        "too_many": code_of(lambda: control.create_provisioned_model_throughput(**{**order, "modelUnits": 9})),
    }
    control.delete_provisioned_model_throughput(provisionedModelId="renamed")
    seen["gone"] = code_of(lambda: control.get_provisioned_model_throughput(provisionedModelId=arn))
    print(json.dumps(seen))


main(sys.argv[1])
