"""The unmodified boto3 client against the control plane: calls as JSON on standard input, what came of each on standard output.

A call is [operation, arguments]; `wait` describes a job until it has ended.
"""

import json
import sys
import time

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError


def main(url):
    client = boto3.client(
        "sagemaker",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="secret",
        config=Config(retries={"total_max_attempts": 1}, parameter_validation=False),
    )

    def call(operation, arguments):
        if operation != "wait":
            return getattr(client, operation)(**arguments)
        while True:
            answer = client.describe_transform_job(**arguments)
            if answer["TransformJobStatus"] not in ("InProgress", "Stopping"):
                return answer
            time.sleep(0.02)

    def outcome(operation, arguments):
        try:
            answer = call(operation, arguments)
            answer.pop("ResponseMetadata")
            return answer
        except ClientError as error:
            named = type(error).__name__
            return {"class": named, "code": error.response["Error"]["Code"], "message": error.response["Error"]["Message"]}

    json.dump([outcome(*each) for each in json.load(sys.stdin)], sys.stdout, default=lambda when: when.timestamp())


main(sys.argv[1])
