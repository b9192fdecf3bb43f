/**
 * How the replicas of a variant follow what is asked of it. Words: Application Auto Scaling, 2016-02-06; a target is the
 * `sagemaker:variant:DesiredInstanceCount` of `endpoint/NAME/variant/NAME`.
 */

/** Of one variant; the last four are inferd's own. invocations: a minute and replica; queue-wait: p95 in ms; tokens: output a second and replica. */
export type ScalingMetric = 'concurrency' | 'invocations' | 'queue-wait' | 'kv-usage' | 'tokens' | 'backlog'

export interface ScalableTarget {
  readonly endpoint: string
  readonly variant: string
  readonly minReplicas: number
  readonly maxReplicas: number
  readonly isScaleInSuspended: boolean
  readonly isScaleOutSuspended: boolean
  readonly isScheduleSuspended: boolean
  readonly createdMs: number
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
  /** Of the metric less the threshold: [lower, upper); null = without bound. */
  readonly lower: number | null
  readonly upper: number | null
  readonly adjustment: number
}

export interface StepScaling {
  readonly kind: 'step'
  readonly metric: ScalingMetric
  readonly threshold: number
  /** above: out; below: in. */
  readonly when: 'above' | 'below'
  readonly adjustmentType: 'change' | 'exact' | 'percent'
  readonly minAdjustment: number
  readonly steps: readonly ScalingStep[]
  readonly cooldownMs: number
}

export interface ScalingPolicy {
  readonly name: string
  readonly endpoint: string
  readonly variant: string
  readonly rule: TargetTracking | StepScaling
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

/** Methods throw store_failed; those that name a target throw resource_not_found when there is none. Put replaces what has the name. */
export interface ScalingDesk {
  putTarget(target: Omit<ScalableTarget, 'createdMs'>): Promise<ScalableTarget>
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
}
