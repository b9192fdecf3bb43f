"""Every way to run a model that AWS sells, on one machine, with boto3: `npm run example -- aws-modes-python`.

Real-time, automatic scaling, rollout, serverless, multi-model, asynchronous, batch transform, Bedrock on demand and batch. All
that is AWS's own is unchanged but `endpoint_url`. Ends with 0 only if every answer was as it must be.
"""

import json
import pathlib
import sys
import time

import boto3

URL, OBJECTS = sys.argv[1], pathlib.Path(sys.argv[2])
ROLE = "arn:aws:iam::000000000000:role/anything"
MODEL = "inferd-chat"
BUCKET = "s3://inferd-local/"
CAPITAL = "What is the capital of France?"
QUESTION = {"messages": [{"role": "user", "content": CAPITAL}], "max_tokens": 16, "temperature": 0}
WAIT = {"Delay": 1, "MaxAttempts": 60}


def client(name):
    keys = {"aws_access_key_id": "any", "aws_secret_access_key": "any"}
    return boto3.client(name, endpoint_url=URL, region_name="us-east-1", **keys)


sagemaker = client("sagemaker")
invoke = client("sagemaker-runtime")
autoscaling = client("application-autoscaling")
bedrock = client("bedrock")
runtime = client("bedrock-runtime")


def real_time():
    create_model("py-chat", MODEL)
    create_endpoint("py-chat", "py-chat-v1", {"ModelName": "py-chat", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1})
    answer = invoke.invoke_endpoint(EndpointName="py-chat", ContentType="application/json", Body=json.dumps(QUESTION))
    assert answer["InvokedProductionVariant"] == "main", answer
    text = text_of(answer["Body"].read())
    stream = invoke.invoke_endpoint_with_response_stream(
        EndpointName="py-chat", ContentType="application/json", Body=json.dumps({**QUESTION, "stream": True})
    )
    pieces = b"".join(event["PayloadPart"]["Bytes"] for event in stream["Body"])
    assert pieces.startswith(b"data:"), pieces
    return repr(text)


def scaled():
    target = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": "endpoint/py-chat/variant/main",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }
    autoscaling.register_scalable_target(**target, MinCapacity=2, MaxCapacity=3)
    autoscaling.put_scaling_policy(
        **target,
        PolicyName="follow-the-calls",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={
            "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
            "TargetValue": 600.0,
        },
    )
    until("a second replica", lambda: variant("py-chat")["CurrentInstanceCount"] >= 2)
    [activity, *_] = autoscaling.describe_scaling_activities(**target)["ScalingActivities"]
    autoscaling.deregister_scalable_target(**target)
    return activity["Cause"]


def rolled_out():
    create_model("py-chat-small", "shelf/inferd-chat-Q4_0")
    create_config("py-chat-v2", {"ModelName": "py-chat-small", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1})
    sagemaker.update_endpoint(
        EndpointName="py-chat",
        EndpointConfigName="py-chat-v2",
        DeploymentConfig={
            "BlueGreenUpdatePolicy": {
                "TrafficRoutingConfiguration": {
                    "Type": "CANARY",
                    "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 10},
                    "WaitIntervalInSeconds": 1,
                },
                "TerminationWaitInSeconds": 1,
            }
        },
    )
    until("the rollout", lambda: sagemaker.describe_endpoint(EndpointName="py-chat")["EndpointStatus"] == "InService")
    assert sagemaker.describe_endpoint(EndpointName="py-chat")["EndpointConfigName"] == "py-chat-v2"
    return "py-chat-v2"


def serverless():
    create_endpoint("py-sleepy", "py-sleepy", {"ModelName": "py-chat", "ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 8}})
    started = time.monotonic()
    answer = invoke.invoke_endpoint(EndpointName="py-sleepy", ContentType="application/json", Body=json.dumps(QUESTION))
    assert text_of(answer["Body"].read())
    return f"cold {round((time.monotonic() - started) * 1000)} ms"


def multi_model():
    for target in ["shelf/inferd-chat-Q4_0", "shelf/inferd-chat-Q4_K_M", "shelf/inferd-chat-Q8_0"]:
        answer = invoke.invoke_endpoint(
            EndpointName="shelf", TargetModel=target, ContentType="application/json", Body=json.dumps(QUESTION)
        )
        assert text_of(answer["Body"].read()), target
    return "3 models answered"


def asynchronous():
    put("py/question.json", json.dumps(QUESTION))
    accepted = invoke.invoke_endpoint_async(
        EndpointName="py-chat", InputLocation=BUCKET + "py/question.json", ContentType="application/json"
    )
    output = until("the output", lambda: get(accepted["OutputLocation"]))
    assert text_of(output)
    return accepted["OutputLocation"]


def transformed():
    countries = ["France", "Italy", "Spain"]
    records = [{"id": id, "ask": {**QUESTION, "messages": [{"role": "user", "content": f"What is the capital of {name}?"}]}} for id, name in enumerate(countries)]
    put("py/in/countries.jsonl", "\n".join(map(json.dumps, records)))
    sagemaker.create_transform_job(
        TransformJobName="py-capitals",
        ModelName="py-chat",
        TransformInput={
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": BUCKET + "py/in/"}},
            "ContentType": "application/jsonlines",
            "SplitType": "Line",
        },
        TransformOutput={"S3OutputPath": BUCKET + "py/out", "Accept": "application/jsonlines", "AssembleWith": "Line"},
        DataProcessing={"InputFilter": "$.ask", "JoinSource": "Input", "OutputFilter": "$['id','SageMakerOutput']"},
        TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
    )
    sagemaker.get_waiter("transform_job_completed_or_stopped").wait(TransformJobName="py-capitals", WaiterConfig=WAIT)
    lines = get(BUCKET + "py/out/countries.jsonl.out").splitlines()
    assert [json.loads(line)["id"] for line in lines] == [0, 1, 2], lines
    return f"{len(lines)} records answered in order"


def on_demand():
    messages = [{"role": "user", "content": [{"text": CAPITAL}]}]
    request = {"modelId": MODEL, "messages": messages, "inferenceConfig": {"maxTokens": 16, "temperature": 0}}
    text = runtime.converse(**request)["output"]["message"]["content"][0]["text"]
    stream = runtime.converse_stream(**request)["stream"]
    streamed = "".join(event.get("contentBlockDelta", {}).get("delta", {}).get("text", "") for event in stream)
    assert streamed == text, (streamed, text)
    return repr(text)


def provisioned():
    arn = bedrock.create_provisioned_model_throughput(provisionedModelName="py-bought", modelId=MODEL, modelUnits=1)["provisionedModelArn"]
    shown = bedrock.get_provisioned_model_throughput(provisionedModelId=arn)
    assert shown["status"] == "InService", shown
    messages = [{"role": "user", "content": [{"text": CAPITAL}]}]
    answer = runtime.converse(modelId=arn, messages=messages, inferenceConfig={"maxTokens": 16}, serviceTier={"type": "reserved"})
    assert answer["serviceTier"]["type"] == "reserved", answer["serviceTier"]
    bedrock.delete_provisioned_model_throughput(provisionedModelId=arn)
    return f"{shown['modelUnits']} unit, tier reserved"


def in_batch():
    call = {"messages": [{"role": "user", "content": [{"text": CAPITAL}]}], "inferenceConfig": {"maxTokens": 8}}
    put("py/batch/records.jsonl", "\n".join(json.dumps({"recordId": f"record-{id}", "modelInput": call}) for id in range(20)))
    arn = bedrock.create_model_invocation_job(
        jobName="py-twenty",
        roleArn=ROLE,
        modelId=MODEL,
        modelInvocationType="Converse",
        inputDataConfig={"s3InputDataConfig": {"s3Uri": BUCKET + "py/batch/"}},
        outputDataConfig={"s3OutputDataConfig": {"s3Uri": BUCKET + "py/batch-out/"}},
    )["jobArn"]
    ended = ("Completed", "PartiallyCompleted", "Failed", "Stopped", "Expired")
    status = until("the batch", lambda: (now := bedrock.get_model_invocation_job(jobIdentifier=arn)["status"]) in ended and now)
    assert status == "Completed", status
    lines = get(f"{BUCKET}py/batch-out/{arn.split('/')[-1]}/records.jsonl.out").splitlines()
    assert sum("modelOutput" in line for line in lines) == 20, lines
    return f"{len(lines)} records"


def cleaned_up():
    for name in ["py-chat", "py-sleepy"]:
        sagemaker.delete_endpoint(EndpointName=name)
        sagemaker.get_waiter("endpoint_deleted").wait(EndpointName=name, WaiterConfig=WAIT)
    for name in ["py-chat-v1", "py-chat-v2", "py-sleepy"]:
        sagemaker.delete_endpoint_config(EndpointConfigName=name)
    for name in ["py-chat", "py-chat-small"]:
        sagemaker.delete_model(ModelName=name)
    left = [endpoint["EndpointName"] for endpoint in sagemaker.list_endpoints(NameContains="py-")["Endpoints"]]
    assert left == [], left
    return "nothing left"


def create_model(name, model):
    """`HF_MODEL_ID` names a model of the server, as the images of TGI and LMI take one of a hub."""
    container = {"Image": "inferd", "Environment": {"HF_MODEL_ID": model}}
    sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container)


def create_config(name, variant):
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[{"VariantName": "main", **variant}])


def create_endpoint(name, config, variant):
    create_config(config, variant)
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig=WAIT)


def variant(endpoint):
    return sagemaker.describe_endpoint(EndpointName=endpoint)["ProductionVariants"][0]


def put(key, text):
    """The bucket of the team `local` is a folder of this machine; one in S3 would be used with the client of S3."""
    file = OBJECTS / key
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def get(uri):
    file = OBJECTS / uri.removeprefix(BUCKET)
    return file.read_text() if file.exists() else None


def text_of(body):
    return json.loads(body)["choices"][0]["message"]["content"]


def until(what, ask):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if found := ask():
            return found
        time.sleep(0.1)
    raise TimeoutError(f"{what} did not come within a minute")


MODES = [real_time, scaled, rolled_out, serverless, multi_model, asynchronous, transformed, on_demand, provisioned, in_batch, cleaned_up]

for mode in MODES:
    started = time.monotonic()
    told = mode()
    print(f"{mode.__name__:12} {told}  ({round((time.monotonic() - started) * 1000)} ms)", flush=True)
