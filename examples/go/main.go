// Inserts a picture, searches with it, and shows the last sync of a source. Go 1.19 or later, nothing to install.
// Usage: go run main.go COLLECTION PICTURE SOURCE, with AFTERIMAGE_URL and AFTERIMAGE_API_KEY set.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"os"
)

type failure struct{ Reason, Message string }
type item struct {
	RecordID, Outcome, State, CreatedCount, FailedCount string // 64-bit integers are texts
	Score                                               float64
	Error                                               failure
}
type response struct {
	failure             // of the call
	Results, Hits, Runs []item
	Details             []failure
}
// call makes a call and returns its response. It ends the program, with the reason that the server gave.
func call(method, path string, fields url.Values, picture []byte) (body response) {
	request := must(http.NewRequest(method, os.Getenv("AFTERIMAGE_URL")+path+"?"+fields.Encode(), bytes.NewReader(picture)))
	request.Header.Set("authorization", "Bearer "+os.Getenv("AFTERIMAGE_API_KEY"))
	if picture != nil {
		request.Header.Set("content-type", "image/jpeg")
	}
	answer := must(http.DefaultClient.Do(request))
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(&body); err != nil || answer.StatusCode != http.StatusOK {
		log.Fatal(answer.Status, " ", body.Details, " ", body.Message)
	}
	return body
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}
func main() {
	of, picture := "/v1/collections/"+url.PathEscape(os.Args[1]), must(os.ReadFile(os.Args[2]))
	inserted := call("POST", of+"/records:insert", url.Values{"record_id": {"1"}, "attributes.color": {"red"}}, picture).Results[0]
	if inserted.Error.Reason != "" {
		log.Fatal(inserted.Error)
	}
	fmt.Printf("inserted %s: %s\n", inserted.RecordID, inserted.Outcome)
	for _, hit := range call("POST", of+":search", url.Values{"k": {"1"}, "filter": {`color = "red"`}}, picture).Hits {
		fmt.Printf("found %s with score %.2f\n", hit.RecordID, hit.Score)
	}
	for _, run := range call("GET", "/v1/runs", url.Values{"source": {os.Args[3]}, "page_size": {"1"}}, nil).Runs {
		fmt.Printf("sync %s: %s, %s created, %s failed\n", os.Args[3], run.State, run.CreatedCount, run.FailedCount)
	}
}
