export { Client, inBatches } from "./client.js";
export type { Batches, CallOptions, ClientOptions } from "./caller.js";
export type { RetryPolicy } from "./retries.js";
export type { Picture } from "./pictures.js";
export {
  Aborted, AfterimageError, AlreadyExists, DataLoss, DeadlineExceeded, FailedPrecondition, InternalError,
  InvalidArgument, NotFound, PermissionDenied, ResourceExhausted, Unauthenticated, Unavailable, Unimplemented,
  type ErrorDetails,
} from "./errors.js";
export type * from "./generated/calls.js";
