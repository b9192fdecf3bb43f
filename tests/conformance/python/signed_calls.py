"""boto3 signs for real: argv are the server's URL, and the access key and secret that it made. Prints what it saw as JSON."""

import json
import sys

import boto3
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from botocore.httpsession import URLLib3Session

url, access_key, secret = sys.argv[1:4]


def client(name, key=access_key, word=secret, token=None):
    return boto3.client(
        name,
        endpoint_url=url,
        region_name="us-west-2",
        aws_access_key_id=key,
        aws_secret_access_key=word,
        aws_session_token=token,
        config=Config(retries={"total_max_attempts": 1}),
    )


def converse(runtime, model="fake-model"):
    try:
        answer = runtime.converse(modelId=model, messages=[{"role": "user", "content": [{"text": "H\u00ef \U0001f98a"}]}])
        return answer["stopReason"]
    except ClientError as error:
        return error.response["Error"]["Code"]


def invoke(runtime):
    answer = runtime.invoke_endpoint(EndpointName="fake-model", ContentType="application/json", Body=b'{"inputs": "Hi"}', CustomAttributes="a=1,  b=2")
    return answer["ResponseMetadata"]["HTTPStatusCode"]


def presigned(more=""):
    request = AWSRequest("GET", f"{url}/v1/models?b=2&a=x%20y&c=")
    SigV4QueryAuth(Credentials(access_key, secret), "execute-api", "us-west-2", expires=60).add_auth(request)
    request.url += more
    return URLLib3Session().send(request.prepare()).status_code


print(
    json.dumps(
        {
            "converse": converse(client("bedrock-runtime")),
            "arn": converse(client("bedrock-runtime"), "arn:aws:bedrock:us-west-2::foundation-model/fake-model"),
            "wrong": converse(client("bedrock-runtime", word="wrong")),
            "unknown": converse(client("bedrock-runtime", key="INFERDAKUNKNOWN00000")),
            "session": converse(client("bedrock-runtime", token="stranger")),
            "invoke": invoke(client("sagemaker-runtime")),
            "presigned": presigned(),
            "other_query": presigned("&d=1"),
        }
    )
)
