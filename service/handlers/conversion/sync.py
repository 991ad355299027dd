"""Messages of SyncService."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

from afterimage.v1 import sync_service_pb2 as pb
from index import Failure, attributes_to_json
from service.handlers.conversion.values import invalid, timestamp
from service.intake.notes import Note
from service.sync.feeds.model import AttributeField, FeedFormat, FeedOptions, FieldMapping, FieldType, Item
from service.sync.feeds.preview import Preview
from service.sync.model import Run, SyncPlan
from service.sync.pushes.push_calls import ItemChange, Pushed
from service.sync.pushes.signed_pushes import RotatedSecret
from service.sync.source_model import Guards, Mode, PictureCheck, Schedule, Source, SourceConfig, Webhook

E = TypeVar("E", bound=StrEnum)


def to_config(message: pb.Source) -> SourceConfig:
    """Returns the configuration of a source. Raises ServiceError (ARGUMENT_INVALID)."""
    return SourceConfig(
        name=message.name, collection=message.collection, url=message.url,
        mode=_one_of("source.mode", Mode, message.mode, Mode.REPLACE), options=to_options(message.options),
        schedule=Schedule(message.cron, message.time_zone or "UTC"), guards=_guards(message.guards),
        picture_check=_one_of(
            "source.picture_check", PictureCheck, message.picture_check, PictureCheck.CHANGED
        ),
        authorization=message.authorization, webhook=Webhook(message.webhook_url, message.webhook_secret),
        paused=message.paused,
    )  # fmt: skip


def to_options(message: pb.FeedOptions) -> FeedOptions:
    """Returns the options for reading a feed. Raises ServiceError (ARGUMENT_INVALID)."""
    mapping = message.mapping
    attributes = {
        name: AttributeField(f.column, _one_of("mapping.attributes", FieldType, f.type, FieldType.TEXT))
        for name, f in mapping.attributes.items()
    }
    fields = FieldMapping(mapping.record_id, mapping.product_id, tuple(mapping.pictures), attributes)
    found = _one_of("options.format", FeedFormat, message.format, None)
    return FeedOptions(found, message.encoding, message.delimiter, fields)


def to_source(source: Source) -> pb.Source:
    """Returns the message of a source, without its secrets."""
    config, state, guards = source.config, source.state, source.config.guards
    return pb.Source(
        source_id=source.source_id, name=config.name, collection=config.collection, url=config.url,
        mode=str(config.mode), options=_options(config.options), cron=config.schedule.cron,
        time_zone=config.schedule.time_zone,
        guards=pb.Guards(
            max_delete_share=guards.max_delete_share, max_deletes=guards.max_deletes,
            max_problem_share=guards.max_problem_share, min_items_share=guards.min_items_share,
        ),
        picture_check=str(config.picture_check), webhook_url=config.webhook.url, paused=config.paused,
        create_time=timestamp(source.created_ms), success_time=_time(state.success_ms), found_format=state.format,
        has_authorization=bool(config.authorization), has_webhook_secret=bool(config.webhook.secret),
    )  # fmt: skip


def to_run(run: Run, progress: Mapping[str, Any] | None = None) -> pb.Run:
    """Returns the message of a run, with its progress while it is running."""
    counts = run.counts
    message = pb.Run(
        run_id=run.run_id, source_id=run.source_id, collection=run.collection, state=str(run.state),
        dry_run=run.dry_run, trigger=run.trigger, reason=run.reason, message=run.message, plan=_plan(run.plan),
        created_count=counts.created, updated_count=counts.updated, unchanged_count=counts.unchanged,
        deleted_count=counts.deleted, failed_count=counts.failed, encoded_count=counts.encoded,
        create_time=_time(run.created_ms), start_time=_time(run.started_ms), end_time=_time(run.ended_ms),
        notes=[_note_count(reason, count) for reason, count in counts.notes.items()],
    )  # fmt: skip
    if progress:
        message.progress.CopyFrom(
            pb.Progress(
                items_read=progress["items_read"], total_count=progress["total"], done_count=progress["done"],
                failed_count=progress["failed"], per_second=progress["per_s"], remaining_seconds=progress["eta_s"],
            )
        )  # fmt: skip
    return message


def _note_count(reason: str, count: int) -> pb.PictureNoteCount:
    message = Note[reason].value if reason in Note.__members__ else ""  # a newer version may have counted it
    return pb.PictureNoteCount(reason=reason, message=message, picture_count=count)


def to_item(item: Item) -> pb.FeedItem:
    """Returns the message of an item in a preview."""
    return pb.FeedItem(
        line=item.line, item_id=item.item_id, product_id=item.product_id, pictures=item.pictures,
        attributes=attributes_to_json(item.attributes), deleted=item.deleted, left_out=item.left_out,
        notes=item.notes,
    )  # fmt: skip


def to_preview(seen: Preview) -> pb.PreviewFeedResponse:
    """Returns the message of a preview."""
    return pb.PreviewFeedResponse(
        format=str(seen.format), items=[to_item(i) for i in seen.items],
        problems=[to_problem(p.line, p.item_id, p.message) for p in seen.problems],
        columns=[
            pb.FeedColumn(
                name=c.name, role=c.role, attribute=c.attribute, type=c.type, reason=c.reason, samples=c.samples,
                item_count=c.count, left_out_count=c.left_out,
            )
            for c in seen.columns
        ],
        notes=seen.notes, encoding=seen.encoding, delimiter=seen.delimiter,
    )  # fmt: skip


def to_problem(line: int, item_id: str, message: str) -> pb.FeedProblem:
    """Returns the message of an unusable item."""
    return pb.FeedProblem(line=line, item_id=item_id, message=message)


def to_failure(failure: Failure) -> pb.Failure:
    """Returns the message of a record that could not be synchronized."""
    return pb.Failure(
        record_id=failure.record_id, reason=failure.reason, message=failure.message, lasting=failure.lasting,
        line=failure.line, tries=failure.tries, first_time=_time(failure.first_ms), last_time=_time(failure.last_ms),
    )  # fmt: skip


def to_token(record_id: str) -> str:
    """Returns the page token for a record id."""
    return base64.urlsafe_b64encode(record_id.encode()).decode()


def from_token(token: str) -> str:
    """Returns the record id of a page token. Raises ServiceError (ARGUMENT_INVALID)."""
    try:
        return base64.urlsafe_b64decode(token.encode()).decode()
    except (ValueError, UnicodeError):
        raise invalid("page_token", "the page token is not valid for this call") from None


def _guards(message: pb.Guards) -> Guards:
    given = {f.name: value for f, value in message.ListFields()}
    unset = Guards()
    names = ("max_delete_share", "max_deletes", "max_problem_share", "min_items_share")
    return Guards(**{n: given[n] if n in given else getattr(unset, n) for n in names})


def _options(options: FeedOptions) -> pb.FeedOptions:
    mapping = options.mapping
    return pb.FeedOptions(
        format=str(options.format or ""), encoding=options.encoding, delimiter=options.delimiter,
        mapping=pb.FieldMapping(
            record_id=mapping.record_id, product_id=mapping.product_id, pictures=mapping.pictures,
            attributes={
                n: pb.AttributeField(column=f.column, type=str(f.type)) for n, f in mapping.attributes.items()
            },
        ),
    )  # fmt: skip


def _plan(plan: SyncPlan) -> pb.Plan:
    return pb.Plan(
        digest=plan.digest, item_count=plan.items, problem_count=plan.problems, duplicate_count=plan.duplicates,
        create_count=plan.create, update_picture_count=plan.update_picture,
        update_attributes_count=plan.update_attributes, check_picture_count=plan.check_picture,
        unchanged_count=plan.unchanged, delete_count=plan.delete, kept_count=plan.kept,
        failed_before_count=plan.failed_before, estimated_seconds=plan.estimated_s, concerns=plan.concerns,
        samples=[pb.PlannedRecord(action=s.action, record_id=s.record_id, line=s.line) for s in plan.samples],
        problems=[to_problem(s.line, s.record_id, s.action) for s in plan.problem_lines],
    )  # fmt: skip


def _one_of(field: str, kind: type[E], given: str, unset: Any) -> Any:
    if not given:
        return unset
    try:
        return kind(given)
    except ValueError:
        raise invalid(field, f"{field} is {given[:40]!r}, not one of {', '.join(kind)}") from None


def _time(milliseconds: int) -> Timestamp | None:
    return timestamp(milliseconds) if milliseconds else None


def to_change(request: pb.PushItemRequest) -> ItemChange:
    """Returns the change of an item. Raises ServiceError (ARGUMENT_INVALID)."""
    if request.WhichOneof("change") is None:
        raise invalid("change", "set item_json or delete_item_id")
    if request.HasField("item_json") and not request.item_json:
        raise invalid("item_json", "the item is empty; to delete one, set delete_item_id")
    changed_ms = request.change_time.ToMilliseconds() if request.HasField("change_time") else 0
    return ItemChange(request.item_json, request.delete_item_id, changed_ms)


def to_pushed(pushed: Pushed) -> pb.PushItemResponse:
    """Returns the response to a change of an item."""
    return pb.PushItemResponse(
        outcome=pushed.outcome, reason=pushed.reason, message=pushed.message, item_id=pushed.item_id,
        record_count=pushed.records, deleted_count=pushed.deleted, sequence=pushed.sequence, notes=pushed.notes,
    )  # fmt: skip


def to_rotated(rotated: RotatedSecret) -> pb.RotatePushSecretResponse:
    """Returns the response with a new secret."""
    until = timestamp(rotated.former_until_ms) if rotated.former_until_ms else None
    return pb.RotatePushSecretResponse(secret=rotated.secret, path=rotated.path, former_expire_time=until)
