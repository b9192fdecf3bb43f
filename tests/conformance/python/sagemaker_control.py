"""Models, configurations, endpoints and their tags through boto3, with its paginators and waiters; prints what it saw as JSON."""
import json
import sys

import boto3
from botocore.exceptions import ClientError

client = boto3.client("sagemaker", endpoint_url=sys.argv[1], region_name="us-east-1")
MODEL = sys.argv[2]


def fault(call, **members):
    try:
        call(**members)
    except ClientError as error:
        return [error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]]
    return None


def tags_of(arn):
    return {tag["Key"]: tag["Value"] for page in client.get_paginator("list_tags").paginate(ResourceArn=arn) for tag in page["Tags"]}


container = {"Environment": {"HF_MODEL_ID": MODEL}}
made = client.create_model(ModelName="chat", PrimaryContainer=container, Tags=[{"Key": "team", "Value": "a b"}])
for number in range(12):
    client.create_model(ModelName=f"more-{number:02}", PrimaryContainer=container)


def config(name, count):
    variant = {"VariantName": "main", "ModelName": "chat", "InitialInstanceCount": count, "InstanceType": "ml.m5.large"}
    return client.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])


config("one", 1)
config("two", 2)
endpoint = client.create_endpoint(EndpointName="chat", EndpointConfigName="one", Tags=[{"Key": "a", "Value": "1"}])["EndpointArn"]
client.get_waiter("endpoint_in_service").wait(EndpointName="chat", WaiterConfig={"Delay": 1, "MaxAttempts": 30})
client.add_tags(ResourceArn=endpoint, Tags=[{"Key": "a", "Value": "2"}, {"Key": "b", "Value": ""}])
tagged = tags_of(endpoint)
client.delete_tags(ResourceArn=endpoint, TagKeys=["a", "nobody"])
client.update_endpoint_weights_and_capacities(
    EndpointName="chat", DesiredWeightsAndCapacities=[{"VariantName": "main", "DesiredInstanceCount": 3}]
)
client.update_endpoint(
    EndpointName="chat",
    EndpointConfigName="two",
    RetainAllVariantProperties=True,
    DeploymentConfig={
        "RollingUpdatePolicy": {"MaximumBatchSize": {"Type": "INSTANCE_COUNT", "Value": 2}, "WaitIntervalInSeconds": 0}
    },
)
client.get_waiter("endpoint_in_service").wait(EndpointName="chat", WaiterConfig={"Delay": 1, "MaxAttempts": 30})
after = client.describe_endpoint(EndpointName="chat")
pages = list(client.get_paginator("list_models").paginate(NameContains="MORE", SortBy="Name", SortOrder="Ascending", MaxResults=5))
seen = {
    "model": client.describe_model(ModelName="chat")["PrimaryContainer"]["Environment"],
    "modelTags": tags_of(made["ModelArn"]),
    "tagged": tagged,
    "left": tags_of(endpoint),
    "config": after["EndpointConfigName"],
    "count": after["ProductionVariants"][0]["DesiredInstanceCount"],
    "policy": after["LastDeploymentConfig"]["RollingUpdatePolicy"]["MaximumBatchSize"],
    "pages": [[model["ModelName"] for model in page["Models"]] for page in pages],
    "status": [summary["EndpointName"] for summary in client.list_endpoints(StatusEquals="InService")["Endpoints"]],
    "duplicate": fault(client.create_model, ModelName="chat", PrimaryContainer=container),
    "inUse": fault(client.delete_endpoint_config, EndpointConfigName="two"),
    "unknown": fault(client.describe_endpoint, EndpointName="nobody"),
    "noConfig": fault(client.create_endpoint, EndpointName="other", EndpointConfigName="nobody"),
    "badName": fault(client.describe_model, ModelName="-bad-"),
    "noTags": fault(client.list_tags, ResourceArn=endpoint.replace("endpoint/chat", "endpoint/nobody")),
}
client.delete_endpoint(EndpointName="chat")
client.get_waiter("endpoint_deleted").wait(EndpointName="chat", WaiterConfig={"Delay": 1, "MaxAttempts": 30})
for name in ("one", "two"):
    client.delete_endpoint_config(EndpointConfigName=name)
client.delete_model(ModelName="chat")
client.create_model(ModelName="chat", PrimaryContainer=container)
seen["again"] = tags_of(made["ModelArn"])
print(json.dumps(seen))
