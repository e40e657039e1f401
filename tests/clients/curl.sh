#!/usr/bin/env bash
# A client that is nothing but curl: ADDRESS KEY OUTBOX.
set -eu
address=$1 key=$2 outbox=$3

# call METHOD REQUEST: makes a call; its status stands in `status`, what it said in `says`.
call() {
  says=$(curl -sS --max-time 60 -w '\n%{http_code}' "http://$address/followupd.v1.$1" \
    -H "authorization: Bearer $key" -H 'content-type: application/json' -d "$2")
  status=${says##*$'\n'} says=${says%$'\n'*}
}

# check WHAT WORDS...: ends the script where what was said does not have the words, in this order.
check() {
  local what=$1 rest=$says words
  shift
  printf '%s: %s %s\n' "$what" "$status" "$says"
  for words in "$@"; do
    if [[ $rest != *"$words"* ]]; then
      printf '%s: wanted %s in: %s %s\n' "$what" "$words" "$status" "$says" >&2
      exit 1
    fi
    rest=${rest#*"$words"}
  done
}

# must METHOD REQUEST WORDS...: makes a call that must be answered with these words.
must() {
  local method=$1
  call "$method" "$2"
  shift 2
  if [ "$status" != 200 ]; then
    printf '%s: wanted 200, found %s %s\n' "$method" "$status" "$says" >&2
    exit 1
  fi
  check "$method" "$@"
}

# refused METHOD REQUEST STATUS CODE REASON: makes a call that must be refused so. A detail is a protobuf message in
# base64; the texts of one, such as its reason, stand in it as they are.
refused() {
  call "$1" "$2"
  if [ "$status" != "$3" ]; then
    printf '%s: wanted %s, found %s %s\n' "$1" "$3" "$status" "$says" >&2
    exit 1
  fi
  check "$1" "\"code\":\"$4\"" '"type":"google.rpc.ErrorInfo"'
  local value=${says#*google.rpc.ErrorInfo} padding
  value=${value#*'"value":"'} value=${value%%'"'*}
  for padding in '' '=' '=='; do
    if [ $(((${#value} + ${#padding}) % 4)) = 0 ]; then value=$value$padding; fi
  done
  if ! printf %s "$value" | base64 -d | grep -aq "$5"; then
    printf '%s: wanted the reason %s, found %s\n' "$1" "$5" "$(printf %s "$value" | base64 -d | tr -dc '[:print:]')" >&2
    exit 1
  fi
}

must TenantService/PutTenant '{"name": "acme", "settings": {"on": true, "timeZone": "UTC"}}' '"name":"acme","on":true'
must TenantService/PutChannel \
  '{"tenant": "acme", "name": "mail", "settings": {"kind": "email", "transport": "outbox"}}' '"kind":"email"'
# The reply comes before the third.
must SequenceService/PutSequence '{"tenant": "acme", "name": "welcome", "sequence": {"steps": [
  {"channel": "mail", "subject": "one", "body": "first for {{ contact.id }}"},
  {"wait": "1 second", "channel": "mail", "subject": "two", "body": "second for {{ contact.id }}"},
  {"wait": "1 hour", "channel": "mail", "subject": "three", "body": "nobody gets this"}
]}}' '"status":"unpublished"'
must SequenceService/Publish '{"tenant": "acme", "sequence": "welcome"}' '"version":1'

must EnrollmentService/Enroll '{"tenant": "acme", "sequence": "welcome",
  "enroll": {"contact": "ana", "profile": {"email": "ana@mail.example"}}}' '"outcome":"ENROLL_OUTCOME_ENROLLED"'
id=${says#*'"enrollmentId":"'} id=${id%%'"'*}
one='{"tenant": "acme", "enrollmentId": "'$id'"}'

for ((tries = 0; tries < 1200; tries++)); do
  call EnrollmentService/GetEnrollment "$one"
  if [[ $says == *'"status":"sent"'*'"status":"sent"'* ]]; then break; fi
  sleep 0.05
done
check 'two are sent' '"state":"active"' '"status":"sent"' '"status":"sent"' '"status":"pending"'

must EventService/Send '{"tenant": "acme", "event": {"source": "inbox", "id": "reply-1", "type": "message.received",
  "contact": "ana", "text": "not now"}}' '"outcome":"EVENT_OUTCOME_ACCEPTED"' "\"enrollmentId\":\"$id\"" '"reason":"replied"'

must EnrollmentService/GetTimeline "$one" '"state":"exited"' '"reason":"replied"' '"kind":"enrolled"' \
  '"kind":"sent"' '"kind":"sent"' '"kind":"exited"' '"reason":"replied"'
must SequenceService/GetFunnel '{"tenant": "acme", "sequence": "welcome"}' \
  '"enrolled":1' '"exited":[{"reason":"replied","count":1}]'
mails=$(grep -hs '^Subject: ' "$outbox"/new/* | sort | tr '\n' ' ')
printf 'the outbox: %s\n' "$mails"
if [ "$mails" != 'Subject: one Subject: two ' ]; then
  printf 'the outbox: wanted the mails one and two, found %s\n' "$mails" >&2
  exit 1
fi

refused EnrollmentService/Enroll '{"tenant": "acme", "sequence": "nothing", "enroll": {"contact": "bo"}}' \
  404 not_found NOT_FOUND
refused EventService/Send '{"tenant": "acme", "event": {"source": "inbox", "id": "2", "type": "message.recieved",
  "contact": "ana"}}' 400 invalid_argument INVALID
key=fup_0
refused SequenceService/GetFunnel '{"tenant": "acme", "sequence": "welcome"}' 401 unauthenticated KEY_UNKNOWN
