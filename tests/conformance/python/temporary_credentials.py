"""boto3 with temporary credentials: argv are the server's URL, and a long-term key and a session as JSON. Prints what it saw as JSON."""

import json
import sys
from datetime import datetime, timezone

import boto3
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from botocore.httpsession import URLLib3Session

url = sys.argv[1]
long_term, session = json.loads(sys.argv[2]), json.loads(sys.argv[3])


def client(name, credentials):
    return boto3.client(
        name,
        endpoint_url=url,
        region_name="us-west-2",
        aws_access_key_id=credentials["accessKeyId"],
        aws_secret_access_key=credentials["secretAccessKey"],
        aws_session_token=credentials.get("sessionToken"),
        config=Config(retries={"total_max_attempts": 3, "mode": "standard"}),
    )


def told(call):
    """What a call gives, or the name, status and retries of its refusal."""
    try:
        return call()
    except ClientError as error:
        metadata = error.response["ResponseMetadata"]
        return [error.response["Error"]["Code"], metadata["HTTPStatusCode"], metadata["RetryAttempts"]]


def converse(credentials):
    runtime = client("bedrock-runtime", credentials)
    return told(lambda: runtime.converse(modelId="fake-model", messages=[{"role": "user", "content": [{"text": "Hi"}]}])["stopReason"])


def invoke(credentials):
    runtime = client("sagemaker-runtime", credentials)
    answer = runtime.invoke_endpoint(EndpointName="fake-model", ContentType="application/json", Body=b'{"inputs": "Hi"}')
    return answer["ResponseMetadata"]["HTTPStatusCode"]


def presigned(credentials, more=""):
    request = AWSRequest("GET", f"{url}/v1/models?b=2")
    held = Credentials(credentials["accessKeyId"], credentials["secretAccessKey"], credentials.get("sessionToken"))
    SigV4QueryAuth(held, "execute-api", "us-west-2", expires=60).add_auth(request)
    request.url += more
    return URLLib3Session().send(request.prepare()).status_code


def issued(credentials, **terms):
    answer = client("sts", credentials).get_session_token(**terms)["Credentials"]
    seconds = (answer["Expiration"] - datetime.now(timezone.utc)).total_seconds()
    fresh = {"accessKeyId": answer["AccessKeyId"], "secretAccessKey": answer["SecretAccessKey"], "sessionToken": answer["SessionToken"]}
    return [converse(fresh), round(seconds / 60)]


tampered = {**session, "sessionToken": session["sessionToken"][:-1]}
bare = {name: value for name, value in session.items() if name != "sessionToken"}
print(
    json.dumps(
        {
            "converse": converse(session),
            "invoke": invoke(session),
            "presigned": presigned(session),
            "other_query": presigned(session, "&d=1"),
            "bare": converse(bare),
            "tampered": converse(tampered),
            "of_a_key": converse({**long_term, "sessionToken": session["sessionToken"]}),
            "issued": told(lambda: issued(long_term)),
            "issued_for_15_minutes": told(lambda: issued(long_term, DurationSeconds=900)),
            "issued_too_long": told(lambda: issued(long_term, DurationSeconds=129601)),
            "issued_by_a_session": told(lambda: issued(session)),
            "issued_to_a_stranger": told(lambda: issued({**long_term, "accessKeyId": "INFERDAKUNKNOWN00000"})),
            "issued_with_a_wrong_secret": told(lambda: issued({**long_term, "secretAccessKey": "wrong"})),
            "issued_with_a_second_factor": told(lambda: issued(long_term, SerialNumber="GAHT12345678", TokenCode="123456")),
            "identity": told(lambda: client("sts", long_term).get_caller_identity()),
        }
    )
)
