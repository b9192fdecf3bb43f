"""The unmodified boto3 clients of both Bedrock planes against one endpoint: what they read, as one JSON object on standard output."""

import json
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError

MODEL = "arn:aws:bedrock:us-east-1::foundation-model/fake/model"
ANTHROPIC = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
LLAMA = {"prompt": "hi", "max_gen_len": 9}
MISTRAL = {"prompt": "hi", "max_tokens": 9}
TITAN = {"inputText": "hi"}


def user(text):
    return [{"role": "user", "content": [{"text": text}]}]


def main(url):
    def client(name):
        return boto3.client(
            name,
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id="AKIDEXAMPLE",
            aws_secret_access_key="secret",
            config=Config(retries={"total_max_attempts": 1}),
        )

    runtime, control = client("bedrock-runtime"), client("bedrock")

    def failure(call):
        try:
            call()
        except EventStreamError as error:
            return {"class": type(error).__name__, "code": error.response["Error"]["Code"]}
        except ClientError as error:
            head = error.response["ResponseMetadata"]
            return {"class": type(error).__name__, "status": head["HTTPStatusCode"], "message": error.response["Error"]["Message"]}
        return None

    def invoke(body):
        answer = runtime.invoke_model(modelId=MODEL, body=json.dumps(body))
        headers = answer["ResponseMetadata"]["HTTPHeaders"]
        return {"body": json.loads(answer["body"].read()), "tokens": headers["x-amzn-bedrock-output-token-count"]}

    def chunks(body):
        events = runtime.invoke_model_with_response_stream(modelId=MODEL, body=json.dumps(body))["body"]
        return [json.loads(event["chunk"]["bytes"]) for event in events]

    def converse_stream(text):
        return list(runtime.converse_stream(modelId=MODEL, messages=user(text))["stream"])

    whole = runtime.converse(modelId=MODEL, messages=user("hi"), inferenceConfig={"temperature": 0.5}, requestMetadata={"a": "b"})
    events = converse_stream("hi")
    print(
        json.dumps(
            {
                "text": whole["output"]["message"]["content"],
                "stop": whole["stopReason"],
                "usage": whole["usage"],
                "stream": "".join(event["contentBlockDelta"]["delta"]["text"] for event in events if "contentBlockDelta" in event),
                "order": [next(iter(event)) for event in events],
                "anthropic": invoke(ANTHROPIC),
                "llama": invoke(LLAMA),
                "mistral": invoke(MISTRAL),
                "titan": len(invoke(TITAN)["body"]["embedding"]),
                "anthropic_types": [chunk["type"] for chunk in chunks(ANTHROPIC)],
                "llama_text": "".join(chunk["generation"] for chunk in chunks(LLAMA)),
                "llama_metrics": chunks(LLAMA)[-1]["amazon-bedrock-invocationMetrics"]["outputTokenCount"],
                "count": runtime.count_tokens(modelId=MODEL, input={"converse": {"messages": user("hi")}})["inputTokens"],
                "count_native": runtime.count_tokens(modelId=MODEL, input={"invokeModel": {"body": json.dumps(ANTHROPIC)}})["inputTokens"],
                "models": [model["modelId"] for model in control.list_foundation_models()["modelSummaries"]],
                "fault": failure(lambda: runtime.converse(modelId=MODEL, messages=user("hi"), inferenceConfig={"temperature": 9})),
                "nobody": failure(lambda: runtime.converse(modelId="nobody", messages=user("hi"))),
                "overloaded": failure(lambda: runtime.converse(modelId=MODEL, messages=user("overload"))),
                "loading": failure(lambda: runtime.converse(modelId=MODEL, messages=user("load"))),
                "broken": failure(lambda: converse_stream("break")),
                "guardrail": failure(lambda: control.get_guardrail(guardrailIdentifier="none")),
            }
        )
    )


main(sys.argv[1])
