"""The unmodified boto3 client against one endpoint: what it reads, as one JSON object on standard output."""

import json
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError

CHAT = {"messages": [{"role": "user", "content": "hi"}]}


def main(url):
    client = boto3.client(
        "sagemaker-runtime",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="secret",
        config=Config(retries={"total_max_attempts": 1}),
    )

    def call(operation, body, **more):
        request = {"EndpointName": "fake-model", "ContentType": "application/json", "Body": json.dumps(body), **more}
        return getattr(client, operation)(**request)

    def failure(body, **more):
        try:
            call("invoke_endpoint", body, **more)
        except ClientError as error:
            details = {key: error.response.get(key) for key in ("OriginalStatusCode", "OriginalMessage", "LogStreamArn") if key in error.response}
            return {"class": type(error).__name__, "status": error.response["ResponseMetadata"]["HTTPStatusCode"], **details}
        return None

    def parts(body):
        stream = call("invoke_endpoint_with_response_stream", body)["Body"]
        try:
            return "".join(event["PayloadPart"]["Bytes"].decode() for event in stream)
        except EventStreamError as error:
            return error.response["Error"]["Code"]

    whole = call("invoke_endpoint", {"inputs": "x"}, CustomAttributes="a=1")
    print(
        json.dumps(
            {
                "text": json.loads(whole["Body"].read()),
                "variant": whole["InvokedProductionVariant"],
                "attributes": whole["CustomAttributes"],
                "chat": json.loads(call("invoke_endpoint", CHAT)["Body"].read())["choices"][0]["message"]["content"],
                "stream": parts({"inputs": "x", "stream": True}),
                "broken": parts({"inputs": "break", "stream": True}),
                "fault": failure({"inputs": "x", "parameters": {"temperature": 9}}),
                "nobody": failure(CHAT, EndpointName="nobody"),
                "csv": failure(CHAT, ContentType="text/csv"),
                "overloaded": failure({"inputs": "overload"}),
                "loading": failure({"inputs": "load"}),
            }
        )
    )


main(sys.argv[1])
