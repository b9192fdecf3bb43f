"""The unmodified boto3 client of Bedrock's control plane against one endpoint: a batch from order to end, as one JSON object on standard output."""

import json
import sys
import time

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError


def main(url, input_uri, output_uri):
    control = boto3.client(
        "bedrock",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="secret",
        config=Config(retries={"total_max_attempts": 1}),
    )

    def order(name, source):
        return control.create_model_invocation_job(
            jobName=name,
            roleArn="arn:aws:iam::123456789012:role/batch",
            modelId="fake/model",
            modelInvocationType="Converse",
            inputDataConfig={"s3InputDataConfig": {"s3Uri": source, "s3InputFormat": "JSONL"}},
            outputDataConfig={"s3OutputDataConfig": {"s3Uri": output_uri}},
            timeoutDurationInHours=24,
        )["jobArn"]

    arn = order("from-python", input_uri)
    while True:
        job = control.get_model_invocation_job(jobIdentifier=arn)
        if job["status"] in ("Completed", "Failed", "Stopped", "Expired"):
            break
        time.sleep(0.05)
    control.stop_model_invocation_job(jobIdentifier=arn)
    listed = control.list_model_invocation_jobs(nameContains="python", statusEquals="Completed", sortBy="CreationTime", sortOrder="Descending")
    try:
        order("another", "s3://nobody/in.jsonl")
        refused = None
    except ClientError as error:
        refused = error.response["Error"]["Code"]
    print(
        json.dumps(
            {
                "arn": arn,
                "status": job["status"],
                "counts": [job["totalRecordCount"], job["processedRecordCount"], job["successRecordCount"], job["errorRecordCount"]],
                "hours": (job["jobExpirationTime"] - job["submitTime"]).total_seconds() / 3600,
                "has_end": job["endTime"] >= job["submitTime"],
                "listed": [summary["jobArn"] for summary in listed["invocationJobSummaries"]],
                "refused": refused,
            }
        )
    )


main(*sys.argv[1:])
