/** A call of the API, as the client has to know it. The generated table has one for each. */
export interface Call {
  name: string;
  verb: string;
  /** Path with variables in braces, which are fields of the request. */
  template: string;
  variables: string[];
  /** Where the other fields of the request are sent. */
  body: string;
  /** Whether pictures can be sent as parts of a form, without base64. */
  forms: boolean;
  /** The field that is one picture, besides those in the request's list; empty: none. */
  onePicture: string;
  /** Name of the schema of the response, or of each line of it. */
  response: string;
  retrySafe: boolean;
  /** The server makes it once for each idempotency key. */
  takesKey: boolean;
  /** Lasts as long as its caller waits. */
  noDeadline: boolean;
}

/**
 * Fields of responses that JSON has no type for, by schema: `number` (64-bit integers, which JSON has as texts), `vector`
 * or the name of another schema, after `list` or `map` where there are several.
 */
export type Shapes = Record<string, Record<string, string>>;

type Flat<T> = { [Name in keyof T]: T[Name] } & {};
type OrNothing<T> = [T] extends [never] ? unknown : T;
type PathOf<O> = O extends { parameters: { path: infer Path } } ? Path : unknown;
type QueryOf<O> = O extends { parameters: { query?: infer Query } } ? OrNothing<NonNullable<Query>> : unknown;
type BodyOf<O> = O extends { requestBody?: infer Body }
  ? NonNullable<Body> extends { content: { "application/json": infer Json } } ? Json : unknown
  : unknown;

/** The fields of a request: those of its path and of its body or, where there is none, of its query string. */
export type Request<O> = O extends { requestBody?: infer Body }
  ? [NonNullable<Body>] extends [never] ? Flat<PathOf<O> & QueryOf<O>> : Flat<PathOf<O> & BodyOf<O>>
  : never;
