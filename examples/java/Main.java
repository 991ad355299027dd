import afterimage.v1.*;
import com.google.protobuf.ByteString;
import io.grpc.*;
import io.grpc.stub.MetadataUtils;
import java.nio.file.*;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/**
 * Inserts a picture, searches with it, and shows the last sync of a source. Java 11 or later.
 * Usage: java Main COLLECTION PICTURE SOURCE, with AFTERIMAGE_TARGET and AFTERIMAGE_API_KEY set.
 */
public class Main {
  public static void main(String[] arguments) throws Exception {
    Map<String, String> environment = System.getenv();
    String target = environment.getOrDefault("AFTERIMAGE_TARGET", "127.0.0.1:50051");
    ManagedChannel channel = ManagedChannelBuilder.forTarget(target).usePlaintext().build(); // without it: TLS
    Metadata key = new Metadata();
    key.put(Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER),
        "Bearer " + environment.get("AFTERIMAGE_API_KEY"));
    try {
      run(ClientInterceptors.intercept(channel, MetadataUtils.newAttachHeadersInterceptor(key)), arguments);
    } catch (StatusRuntimeException | IllegalStateException error) {
      System.err.println(error.getMessage()); // io.grpc.protobuf.StatusProto.fromThrowable(error) has the reason
      System.exit(1);
    } finally {
      channel.shutdownNow();
    }
  }

  static void run(Channel channel, String[] arguments) throws Exception {
    String collection = arguments[0], source = arguments[2];
    ByteString image = ByteString.copyFrom(Files.readAllBytes(Path.of(arguments[1])));

    RecordInput.Builder record = RecordInput.newBuilder().setRecordId("1").setImage(image)
        .putAttributes("color", AttributeValue.newBuilder().setStringValue("red").build());
    RecordResult inserted = RecordServiceGrpc.newBlockingStub(channel).withDeadlineAfter(30, TimeUnit.SECONDS)
        .insertRecords(InsertRecordsRequest.newBuilder().setCollection(collection).addRecords(record).build())
        .getResults(0);
    if (inserted.hasError()) throw new IllegalStateException(inserted.getError().getReason());
    System.out.printf("inserted %s: %s%n", inserted.getRecordId(), inserted.getOutcome());

    SearchResponse found = SearchServiceGrpc.newBlockingStub(channel).withDeadlineAfter(30, TimeUnit.SECONDS)
        .search(SearchRequest.newBuilder().setCollection(collection).setK(1).setFilter("color = \"red\"")
            .addQuery(QueryTerm.newBuilder().setImage(image)).build());
    for (Hit hit : found.getHitsList()) System.out.printf("found %s with score %.2f%n", hit.getRecordId(), hit.getScore());

    ListRunsResponse runs = SyncServiceGrpc.newBlockingStub(channel).withDeadlineAfter(30, TimeUnit.SECONDS)
        .listRuns(ListRunsRequest.newBuilder().setSource(source).setPageSize(1).build());
    if (runs.getRunsCount() == 0) System.out.printf("sync %s: no run yet%n", source);
    for (Run run : runs.getRunsList()) {
      System.out.printf("sync %s: %s, %d created, %d failed%n", source, run.getState(), run.getCreatedCount(),
          run.getFailedCount());
    }
  }
}
