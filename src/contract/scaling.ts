/**
 * How the replicas of a variant follow what is asked of it. Words: Application Auto Scaling, 2016-02-06; a target is the
 * `sagemaker:variant:DesiredInstanceCount` of `endpoint/NAME/variant/NAME`.
 */
import type { DeploymentJson } from './deployment.ts'

/** Of one variant; the last four are inferd's own. invocations: a minute and replica; queue-wait: p95 in ms; tokens: output a second and replica. */
export type ScalingMetric = 'concurrency' | 'invocations' | 'queue-wait' | 'kv-usage' | 'tokens' | 'backlog'

export interface ScalableTarget {
  readonly endpoint: string
  readonly variant: string
  /** In effect now. 0 = it sleeps when nothing is asked of it. */
  readonly minReplicas: number
  readonly maxReplicas: number
  /** As somebody put them last; a schedule moves those in effect alone. */
  readonly setBounds: CapacityBounds
  readonly isScaleInSuspended: boolean
  readonly isScaleOutSuspended: boolean
  readonly isScheduleSuspended: boolean
  readonly createdMs: number
}

export interface CapacityBounds {
  readonly minReplicas: number
  readonly maxReplicas: number
}

/** Keeps the metric near `target`, per replica where the metric is counted so. */
export interface TargetTracking {
  readonly kind: 'target-tracking'
  readonly metric: ScalingMetric
  readonly target: number
  readonly scaleInCooldownMs: number
  readonly scaleOutCooldownMs: number
  readonly isScaleInDisabled: boolean
}

export interface ScalingStep {
  /** Of the metric less the threshold; null = without bound. Which end is within: `stepAt`. */
  readonly lower: number | null
  readonly upper: number | null
  /** Replicas, percent of them, or their number, as `adjustmentType` says. */
  readonly adjustment: number
}

/** Changes the number by how far a metric is past a threshold. */
export interface StepScaling {
  readonly kind: 'step'
  /** What starts it; null = alarms that name it do. */
  readonly trigger: AlarmCondition | null
  readonly adjustmentType: 'change' | 'exact' | 'percent'
  /** Of percent: a change has at least so many replicas. */
  readonly minAdjustment: number
  /** In order, without gap or overlap (`requireSteps`). */
  readonly steps: readonly ScalingStep[]
  readonly cooldownMs: number
  /** Of the last period: how far past the threshold it is. */
  readonly aggregation: 'average' | 'minimum' | 'maximum'
}

/** So many of the last periods are past a threshold. Words: alarms of CloudWatch, 2010-08-01. */
export interface AlarmCondition {
  readonly metric: ScalingMetric
  /** Of what is counted: of each replica, or of all. unserved: 1 while there is some of it and no replica is wanted, else 0. */
  readonly of: 'replica' | 'variant' | 'unserved'
  /** sum: of what is counted a minute, over the period. */
  readonly statistic: 'average' | 'minimum' | 'maximum' | 'sum'
  readonly operator: 'above' | 'at-or-above' | 'below' | 'at-or-below'
  readonly threshold: number
  readonly periodMs: number
  readonly numPeriods: number
  /** At most `numPeriods`. */
  readonly numBreaching: number
  /** What a period is in which nothing is known; missing = left out, ignore = nothing changes. */
  readonly missing: 'breaching' | 'not-breaching' | 'ignore' | 'missing'
}

export type AlarmState = 'ok' | 'alarm' | 'unknown'

/** Starts policies of its variant for as long as it is in alarm. */
export interface MetricAlarm {
  readonly name: string
  readonly endpoint: string
  readonly variant: string
  readonly condition: AlarmCondition
  /** Names of policies. */
  readonly policies: readonly string[]
  /** False: it is watched and starts nothing. */
  readonly isEnabled: boolean
  readonly request: DeploymentJson
  readonly state: AlarmState
  /** In words; '' = not looked at yet. */
  readonly reason: string
  readonly stateSinceMs: number
  readonly createdMs: number
  readonly modifiedMs: number
}

export type NewAlarm = Omit<MetricAlarm, 'state' | 'reason' | 'stateSinceMs' | 'createdMs' | 'modifiedMs'>

export interface ScalingPolicy {
  readonly name: string
  readonly endpoint: string
  readonly variant: string
  readonly rule: TargetTracking | StepScaling
  /** As it was sent, to be shown again; null = of a document. */
  readonly request: DeploymentJson | null
  readonly createdMs: number
}

export type Schedule =
  | { readonly kind: 'at'; readonly atMs: number }
  | { readonly kind: 'rate'; readonly everyMs: number }
  /** Six fields, as EventBridge has them. */
  | { readonly kind: 'cron'; readonly expression: string }

export interface ScheduledAction {
  readonly name: string
  readonly endpoint: string
  readonly variant: string
  /** As it was sent. */
  readonly expression: string
  readonly schedule: Schedule
  readonly timezone: string
  readonly startMs: number | null
  readonly endMs: number | null
  readonly minReplicas: number | null
  readonly maxReplicas: number | null
  readonly createdMs: number
}

/** Why the number of replicas was changed, or was not. */
export interface ScalingActivity {
  readonly id: string
  readonly endpoint: string
  readonly variant: string
  readonly cause: string
  readonly from: number
  readonly to: number
  readonly atMs: number
}

/** Its bounds are those in effect from then on. */
export type NewTarget = Omit<ScalableTarget, 'setBounds' | 'createdMs'>

/** Methods throw store_failed; those that name a target throw resource_not_found when there is none. Put replaces what has the name. */
export interface ScalingDesk {
  putTarget(target: NewTarget): Promise<ScalableTarget>
  /** With its policies and schedules. */
  deleteTarget(endpoint: string, variant: string): Promise<void>
  listTargets(): Promise<readonly ScalableTarget[]>
  putPolicy(policy: Omit<ScalingPolicy, 'createdMs'>): Promise<ScalingPolicy>
  deletePolicy(endpoint: string, variant: string, name: string): Promise<void>
  listPolicies(): Promise<readonly ScalingPolicy[]>
  putSchedule(action: Omit<ScheduledAction, 'createdMs'>): Promise<ScheduledAction>
  deleteSchedule(endpoint: string, variant: string, name: string): Promise<void>
  listSchedules(): Promise<readonly ScheduledAction[]>
  /** Newest first, bounded. */
  listActivities(): Promise<readonly ScalingActivity[]>
  /** Throws invalid_parameter for a variant that is not scaled or a policy that is not its own or takes no steps. */
  putAlarm(alarm: NewAlarm): Promise<MetricAlarm>
  /** Throws resource_not_found for a name that is not there, and deletes none then. */
  deleteAlarms(names: readonly string[]): Promise<void>
  listAlarms(): Promise<readonly MetricAlarm[]>
}
