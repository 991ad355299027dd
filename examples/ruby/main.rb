# Inserts a picture, searches with it, and shows the last sync of a source. Ruby 3, nothing to install.
# Usage: ruby main.rb COLLECTION PICTURE SOURCE, with AFTERIMAGE_URL and AFTERIMAGE_API_KEY set.
require "erb"
require "json"
require "net/http"

URL = URI(ENV.fetch("AFTERIMAGE_URL", "http://127.0.0.1:50080"))

# Makes a call and returns its response. Raises an error with the reason that the server gave.
def call(kind, path, fields, picture = nil)
  request = kind.new("#{path}?#{URI.encode_www_form(fields)}")
  request["authorization"] = "Bearer #{ENV.fetch('AFTERIMAGE_API_KEY', '')}"
  request.content_type, request.body = "image/jpeg", picture if picture
  response = Net::HTTP.start(URL.host, URL.port, use_ssl: URL.scheme == "https", read_timeout: 30) do |http|
    http.request(request)
  end
  body = JSON.parse(response.body)
  raise "#{body.dig('details', 0, 'reason')}: #{body['message']}" unless response.is_a?(Net::HTTPOK)

  body
end

begin
  collection, path, source = ARGV
  picture = File.binread(path)
  of = "/v1/collections/#{ERB::Util.url_encode(collection)}"

  # The body is the picture, the fields of the record are in the query string.
  fields = { "record_id" => "1", "attributes.color" => "red" }
  inserted = call(Net::HTTP::Post, "#{of}/records:insert", fields, picture)["results"][0]
  raise "#{inserted['error']['reason']}: #{inserted['error']['message']}" if inserted["error"]

  puts "inserted #{inserted['recordId']}: #{inserted['outcome']}"

  found = call(Net::HTTP::Post, "#{of}:search", { k: 1, filter: 'color = "red"' }, picture)
  found["hits"].each { |hit| puts format("found %s with score %.2f", hit["recordId"], hit["score"]) }

  run = call(Net::HTTP::Get, "/v1/runs", { source: source, page_size: 1 })["runs"][0]
  puts run ? "sync #{source}: #{run['state']}, #{run['createdCount']} created, #{run['failedCount']} failed"
           : "sync #{source}: no run yet"
rescue StandardError => e
  warn e.message
  exit 1
end
