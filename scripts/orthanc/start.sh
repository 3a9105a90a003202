# Sourced by serve: a local Orthanc with DICOMweb, for a team that has no archive.
#
# It answers HTTP on this machine only, with a password that is made once and kept beside its files
# (only this user can read them). It takes in DICOM by HTTP; from a scanner by C-STORE only if asked:
#
#   PAROTID_ORTHANC_DIR         its files, if not ~/.local/share/parotid-brachy/orthanc
#   PAROTID_ORTHANC_PORT        of its HTTP server (8042)
#   PAROTID_ORTHANC_DICOM_PORT  of its DICOM server; without it, there is none
#
# Orthanc's DICOM server cannot be bound to one address: it takes in objects from whoever reaches
# its port, and gives none out. Close the port in the firewall to all but the scanner.

# find_orthanc: sets ORTHANC and ORTHANC_PLUGIN, or says how to install them.
find_orthanc() {
    ORTHANC="$(PATH="$PATH:/usr/sbin" command -v Orthanc || true)"
    ORTHANC_PLUGIN=""
    local candidate
    for candidate in /usr/share/orthanc/plugins /usr/lib/orthanc/plugins /usr/local/share/orthanc/plugins; do
        if [ -f "$candidate/libOrthancDicomWeb.so" ]; then
            ORTHANC_PLUGIN="$candidate/libOrthancDicomWeb.so"
            break
        fi
    done
    [ -n "$ORTHANC" ] && [ -n "$ORTHANC_PLUGIN" ] ||
        die "--orthanc: Orthanc or its DICOMweb plugin is missing. Install both (Debian, Ubuntu):" \
            $'\n'"  sudo apt-get install orthanc orthanc-dicomweb" \
            $'\n'"Debian starts one of its own then; it is not needed: sudo systemctl disable --now orthanc"
}

# start_orthanc: starts it and waits until it answers; sets ORTHANC_URL and ORTHANC_PID, and the
# credentials for our server. Whoever calls it stops it (stop_orthanc).
start_orthanc() {
    local folder="${PAROTID_ORTHANC_DIR:-${XDG_DATA_HOME:-$HOME/.local/share}/parotid-brachy/orthanc}"
    local http_port="${PAROTID_ORTHANC_PORT:-8042}" dicom_port="${PAROTID_ORTHANC_DICOM_PORT:-}"
    local password port waited=0
    find_orthanc
    [[ "$folder" == /* && "$folder" != *[\"\\]* ]] || die "PAROTID_ORTHANC_DIR=$folder: give an absolute path without \" and \\."
    for port in "$http_port" "${dicom_port:-1}"; do
        [[ "$port" =~ ^[0-9]+$ ]] && [ "$port" -ge 1 ] && [ "$port" -le 65535 ] || die "Orthanc's port $port: no port number."
    done
    (umask 077 && mkdir -p -- "$folder/objects")
    chmod 700 -- "$folder"
    if [ ! -s "$folder/password" ]; then
        (umask 077 && "$VENV/bin/python" -c 'import secrets; print(secrets.token_urlsafe(24))' >"$folder/password.partial")
        mv -- "$folder/password.partial" "$folder/password"
    fi
    password="$(cat -- "$folder/password")"
    (
        umask 077
        FOLDER="$folder" PLUGIN="$ORTHANC_PLUGIN" PASSWORD="$password" HTTP_PORT="$http_port" \
            DICOM_PORT="$dicom_port" "$VENV/bin/python" - "$ROOT/scripts/orthanc/orthanc.json" >"$folder/orthanc.json.partial" <<'PYTHON'
import os, sys
text = open(sys.argv[1], encoding="utf-8").read()
for name, value in {
    "STORAGE": os.environ["FOLDER"] + "/objects",
    "PLUGIN": os.environ["PLUGIN"],
    "PASSWORD": os.environ["PASSWORD"],
    "HTTP_PORT": os.environ["HTTP_PORT"],
    "DICOM_PORT": os.environ["DICOM_PORT"] or "4242",
    "DICOM": "true" if os.environ["DICOM_PORT"] else "false",
}.items():
    text = text.replace(f"@{name}@", value)
sys.stdout.write(text)
PYTHON
    )
    mv -- "$folder/orthanc.json.partial" "$folder/orthanc.json"
    ORTHANC_URL="http://127.0.0.1:$http_port/dicom-web"
    "$ORTHANC" "$folder/orthanc.json" >"$folder/orthanc.log" 2>&1 </dev/null &
    ORTHANC_PID=$!
    until PASSWORD="$password" URL="$ORTHANC_URL/studies?limit=1" "$VENV/bin/python" - <<'PYTHON'
import base64, os, sys, urllib.request
said = base64.b64encode(f"parotid:{os.environ['PASSWORD']}".encode()).decode()
asked = urllib.request.Request(os.environ["URL"], headers={"Authorization": f"Basic {said}"})
without_proxy = urllib.request.build_opener(urllib.request.ProxyHandler({}))
try:
    without_proxy.open(asked, timeout=5).read()
except OSError:
    sys.exit(1)
PYTHON
    do
        waited=$((waited + 1))
        if [ "$waited" -ge 60 ] || ! kill -0 "$ORTHANC_PID" 2>/dev/null; then
            stop_orthanc
            tail -n 8 -- "$folder/orthanc.log" >&2
            die "Orthanc did not start; the whole log is in $folder/orthanc.log." \
                "If a port is taken, name others: PAROTID_ORTHANC_PORT, PAROTID_ORTHANC_DICOM_PORT."
        fi
        sleep 0.5
    done
    # Another program could have answered on the port while ours gave up.
    kill -0 "$ORTHANC_PID" 2>/dev/null || die "Orthanc has ended; its log is in $folder/orthanc.log."
    export MONAI_LABEL_DICOMWEB_USERNAME=parotid MONAI_LABEL_DICOMWEB_PASSWORD="$password"
    say "Orthanc   $ORTHANC_URL   files in $folder" \
        $'\n'"Send      curl -u \"parotid:\$(cat '$folder/password')\" -T SLICE.dcm http://127.0.0.1:$http_port/instances"
    if [ -n "$dicom_port" ]; then
        say "Scanner   AE title PAROTID, port $dicom_port (C-STORE)"
    fi
}

stop_orthanc() {
    [ -n "${ORTHANC_PID:-}" ] || return 0
    kill -TERM "$ORTHANC_PID" 2>/dev/null || true
    wait "$ORTHANC_PID" 2>/dev/null || true
    ORTHANC_PID=""
}
