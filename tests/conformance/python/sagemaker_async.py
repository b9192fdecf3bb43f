"""The unmodified boto3 client and an asynchronous invocation: what it is told, as one JSON object on standard output."""

import json
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError


def main(url, location):
    client = boto3.client(
        "sagemaker-runtime",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="secret",
        config=Config(retries={"total_max_attempts": 1}),
    )
    answer = client.invoke_endpoint_async(
        EndpointName="fake-model",
        InputLocation=location,
        ContentType="application/json",
        InferenceId="python-1",
        RequestTTLSeconds=3600,
        InvocationTimeoutSeconds=60,
    )
    try:
        client.invoke_endpoint_async(EndpointName="nobody", InputLocation=location)
        refused = None
    except ClientError as error:
        refused = type(error).__name__
    status = answer.pop("ResponseMetadata")["HTTPStatusCode"]
    print(json.dumps({"answer": answer, "status": status, "refused": refused}))


main(sys.argv[1], sys.argv[2])
