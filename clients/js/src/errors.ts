/** What an error tells beside its message. */
export interface ErrorDetails {
  /** Stable and machine-readable; the server's docs/errors.md lists all. Empty if no server answered. */
  reason?: string;
  /** Name of the invalid field of the request. */
  field?: string;
  /** Milliseconds after which a retry can succeed, if the server knows. */
  retryDelayMs?: number;
  /** Find it in the server's log. */
  requestId?: string;
  /** Status of HTTP; undefined if no server answered. */
  status?: number;
  cause?: unknown;
}

/** A failed call. Branch on `reason`, or on the class; `message` is for people. */
export class AfterimageError extends Error {
  /** Code of google.rpc, such as `NOT_FOUND`. */
  readonly code: string = "UNKNOWN";
  readonly reason: string;
  readonly field: string;
  readonly retryDelayMs: number | undefined;
  readonly requestId: string;
  readonly status: number | undefined;

  constructor(message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = new.target.name;
    this.reason = details.reason ?? "";
    this.field = details.field ?? "";
    this.retryDelayMs = details.retryDelayMs;
    this.requestId = details.requestId ?? "";
    this.status = details.status;
  }
}

/** The request breaks a rule; `field` names it. */
export class InvalidArgument extends AfterimageError {
  override readonly code = "INVALID_ARGUMENT";
}
/** No such collection or record. */
export class NotFound extends AfterimageError {
  override readonly code = "NOT_FOUND";
}
/** The name or id already exists. */
export class AlreadyExists extends AfterimageError {
  override readonly code = "ALREADY_EXISTS";
}
/** No key, or an invalid or revoked one. */
export class Unauthenticated extends AfterimageError {
  override readonly code = "UNAUTHENTICATED";
}
/** The key lacks a scope. */
export class PermissionDenied extends AfterimageError {
  override readonly code = "PERMISSION_DENIED";
}
/** The state of the server or of the data does not allow the call. */
export class FailedPrecondition extends AfterimageError {
  override readonly code = "FAILED_PRECONDITION";
}
/** Overloaded, or a quota is reached; wait `retryDelayMs` where it is set. */
export class ResourceExhausted extends AfterimageError {
  override readonly code = "RESOURCE_EXHAUSTED";
}
/** A concurrent change conflicted with the call. */
export class Aborted extends AfterimageError {
  override readonly code = "ABORTED";
}
/** The deadline passed before the call ended. */
export class DeadlineExceeded extends AfterimageError {
  override readonly code = "DEADLINE_EXCEEDED";
}
/** The server cannot be reached, or is starting or stopping. */
export class Unavailable extends AfterimageError {
  override readonly code = "UNAVAILABLE";
}
/** The server does not offer this call. */
export class Unimplemented extends AfterimageError {
  override readonly code = "UNIMPLEMENTED";
}
/** Stored data of the server is damaged. */
export class DataLoss extends AfterimageError {
  override readonly code = "DATA_LOSS";
}
/** A fault of the server; its log has it under `requestId`. */
export class InternalError extends AfterimageError {
  override readonly code = "INTERNAL";
}

type ErrorClass = new (message: string, details?: ErrorDetails) => AfterimageError;

const BY_CODE: Record<number, ErrorClass> = {
  3: InvalidArgument, 4: DeadlineExceeded, 5: NotFound, 6: AlreadyExists, 7: PermissionDenied, 8: ResourceExhausted,
  9: FailedPrecondition, 10: Aborted, 12: Unimplemented, 13: InternalError, 14: Unavailable, 15: DataLoss,
  16: Unauthenticated,
};
// Answers of proxies have no code of google.rpc.
const BY_STATUS: Record<number, ErrorClass> = {
  400: InvalidArgument, 401: Unauthenticated, 403: PermissionDenied, 404: NotFound, 408: DeadlineExceeded,
  413: InvalidArgument, 429: ResourceExhausted, 501: Unimplemented, 502: Unavailable, 503: Unavailable,
  504: DeadlineExceeded,
};

interface Status {
  code?: number;
  message?: string;
  details?: { "@type": string; reason?: string; retryDelay?: string; fieldViolations?: { field?: string }[] }[];
}

/** The error of a google.rpc.Status, as the last line of a stream has it. */
export function fromStatus(body: Status, details: ErrorDetails = {}): AfterimageError {
  const found: ErrorDetails = { ...details };
  for (const detail of body.details ?? []) {
    const kind = detail["@type"]?.split(".").pop();
    if (kind === "ErrorInfo") found.reason = detail.reason ?? "";
    else if (kind === "RetryInfo") found.retryDelayMs = parseFloat(detail.retryDelay ?? "0") * 1000;
    else if (kind === "BadRequest") found.field = detail.fieldViolations?.[0]?.field ?? "";
  }
  const kind = BY_CODE[body.code ?? 0] ?? BY_STATUS[details.status ?? 0] ?? AfterimageError;
  return new kind(body.message || "the call failed", found);
}

/** The error of a response that is no success. */
export async function fromResponse(response: Response): Promise<AfterimageError> {
  const { status, headers } = response;
  const details: ErrorDetails = { status, requestId: headers.get("x-request-id") ?? "" };
  const seconds = Number(headers.get("retry-after") ?? NaN);
  if (Number.isFinite(seconds)) details.retryDelayMs = seconds * 1000;
  const text = await response.text();
  try {
    const body: unknown = JSON.parse(text);
    if (typeof body === "object" && body !== null && "code" in body) return fromStatus(body as Status, details);
  } catch {
    // a proxy answered
  }
  return fromStatus({ message: `HTTP ${status}${text ? `: ${text.slice(0, 200)}` : ""}` }, details);
}

/** The error of a value that is not sent, because every server would refuse it. */
export function invalid(field: string, message: string): InvalidArgument {
  return new InvalidArgument(message, { reason: "ARGUMENT_INVALID", field });
}
