"""Step scaling as AWS's guides have it: a target, a policy, an alarm that starts it, a schedule; then all of it away. Prints what was seen."""

import json
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

once = Config(retries={"max_attempts": 0})
scaling = boto3.client("application-autoscaling", endpoint_url=sys.argv[1], config=once)
alarms = boto3.client("cloudwatch", endpoint_url=sys.argv[1], config=once)
place = {
    "ServiceNamespace": "sagemaker",
    "ResourceId": "endpoint/chat/variant/main",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
}
steps = {
    "AdjustmentType": "PercentChangeInCapacity",
    "StepAdjustments": [
        {"MetricIntervalLowerBound": 0.0, "MetricIntervalUpperBound": 15.0, "ScalingAdjustment": 20},
        {"MetricIntervalLowerBound": 15.0, "ScalingAdjustment": 50},
    ],
    "MinAdjustmentMagnitude": 1,
    "Cooldown": 60,
    "MetricAggregationType": "Maximum",
}
seen = {}


def error_of(call, **arguments):
    try:
        call(**arguments)
        return None
    except ClientError as error:
        return [error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]]


scaling.register_scalable_target(**place, MinCapacity=1, MaxCapacity=4)
policy = scaling.put_scaling_policy(**place, PolicyName="steps", PolicyType="StepScaling", StepScalingPolicyConfiguration=steps)
alarm = {
    "AlarmName": "busy",
    "AlarmDescription": "many calls at a time",
    "Namespace": "AWS/SageMaker",
    "MetricName": "ConcurrentRequestsPerModel",
    "Dimensions": [{"Name": "EndpointName", "Value": "chat"}, {"Name": "VariantName", "Value": "main"}],
    "Statistic": "Average",
    "Period": 10,
    "EvaluationPeriods": 2,
    "Threshold": 4.5,
    "ComparisonOperator": "GreaterThanOrEqualToThreshold",
    "AlarmActions": [policy["PolicyARN"]],
}
alarms.put_metric_alarm(**alarm)
described = alarms.describe_alarms(AlarmNames=["busy"])["MetricAlarms"][0]
seen["alarm"] = {name: described[name] for name in [*alarm, "StateValue", "ActionsEnabled", "TreatMissingData"]}
seen["time"] = type(described["StateUpdatedTimestamp"]).__name__
shown = scaling.describe_scaling_policies(ServiceNamespace="sagemaker", PolicyNames=["steps"])["ScalingPolicies"][0]
seen["policy"] = {"same": shown["StepScalingPolicyConfiguration"] == steps, "alarms": shown["Alarms"], "type": shown["PolicyType"]}
seen["pages"] = [len(page["MetricAlarms"]) for page in alarms.get_paginator("describe_alarms").paginate(AlarmNamePrefix="b", StateValue="INSUFFICIENT_DATA")]

seen["gap"] = error_of(
    scaling.put_scaling_policy,
    **place,
    PolicyName="gap",
    PolicyType="StepScaling",
    StepScalingPolicyConfiguration={
        "AdjustmentType": "ChangeInCapacity",
        "StepAdjustments": [
            {"MetricIntervalLowerBound": 0.0, "MetricIntervalUpperBound": 5.0, "ScalingAdjustment": 1},
            {"MetricIntervalLowerBound": 9.0, "ScalingAdjustment": 2},
        ],
    },
)
seen["elsewhere"] = error_of(alarms.put_metric_alarm, **{**alarm, "AlarmActions": ["arn:aws:sns:us-east-1:1:topic"]})
seen["nobody"] = error_of(alarms.put_metric_alarm, **{**alarm, "AlarmActions": [policy["PolicyARN"] + "x"]})
seen["metric"] = error_of(alarms.put_metric_alarm, **{**alarm, "MetricName": "CPUUtilization"})
seen["period"] = error_of(alarms.put_metric_alarm, **{**alarm, "Period": 45})
seen["missing"] = error_of(alarms.delete_alarms, AlarmNames=["busy", "none"])
seen["other"] = error_of(alarms.list_metrics)

alarms.delete_alarms(AlarmNames=["busy"])
scaling.delete_scaling_policy(**place, PolicyName="steps")
scaling.deregister_scalable_target(**place)
seen["left"] = [
    len(alarms.describe_alarms()["MetricAlarms"]),
    len(scaling.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]),
    len(scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]),
]
print(json.dumps(seen))
