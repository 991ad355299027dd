<?php
// Inserts a picture, searches with it, and shows the last sync of a source. PHP 8 with its curl extension.
// Usage: php main.php COLLECTION PICTURE SOURCE, with AFTERIMAGE_URL and AFTERIMAGE_API_KEY set.
declare(strict_types=1);

/** Makes a call and returns its response. Throws an exception with the reason that the server gave. */
function call(string $method, string $path, array $fields, ?string $picture = null): array
{
    $url = (getenv('AFTERIMAGE_URL') ?: 'http://127.0.0.1:50080') . $path . '?' . http_build_query($fields);
    $headers = ['authorization: Bearer ' . getenv('AFTERIMAGE_API_KEY')];
    $curl = curl_init($url);
    curl_setopt_array($curl, [CURLOPT_CUSTOMREQUEST => $method, CURLOPT_RETURNTRANSFER => true, CURLOPT_TIMEOUT => 30]);
    if ($picture !== null) {
        $headers[] = 'content-type: image/jpeg';
        curl_setopt($curl, CURLOPT_POSTFIELDS, $picture);
    }
    curl_setopt($curl, CURLOPT_HTTPHEADER, $headers);
    $text = curl_exec($curl);
    if ($text === false) {
        throw new RuntimeException(curl_error($curl));
    }
    $body = json_decode($text, true, flags: JSON_THROW_ON_ERROR);
    if (curl_getinfo($curl, CURLINFO_RESPONSE_CODE) !== 200) {
        throw new RuntimeException(($body['details'][0]['reason'] ?? 'failed') . ': ' . $body['message']);
    }
    return $body;
}

try {
    [, $collection, $path, $source] = $argv;
    $picture = file_get_contents($path) ?: throw new RuntimeException("$path cannot be read, or is empty");
    $of = '/v1/collections/' . rawurlencode($collection);

    // The body is the picture, the fields of the record are in the query string.
    $fields = ['record_id' => '1', 'attributes.color' => 'red'];
    $inserted = call('POST', "$of/records:insert", $fields, $picture)['results'][0];
    if (isset($inserted['error'])) {
        throw new RuntimeException($inserted['error']['reason'] . ': ' . $inserted['error']['message']);
    }
    echo "inserted {$inserted['recordId']}: {$inserted['outcome']}\n";

    $found = call('POST', "$of:search", ['k' => 1, 'filter' => 'color = "red"'], $picture);
    foreach ($found['hits'] as $hit) {
        printf("found %s with score %.2f\n", $hit['recordId'], $hit['score']);
    }

    $run = call('GET', '/v1/runs', ['source' => $source, 'page_size' => 1])['runs'][0] ?? null;
    echo $run === null ? "sync $source: no run yet\n"
        : "sync $source: {$run['state']}, {$run['createdCount']} created, {$run['failedCount']} failed\n";
} catch (Exception $error) {
    fwrite(STDERR, $error->getMessage() . "\n");
    exit(1);
}
