#!/usr/bin/env bash
# Pictures of the report and the event display for README and docs, from what users see themselves.
set -euo pipefail
cd "$(dirname "$0")/.."
out=out/screenshots
mkdir -p out

na64reco run electron-invisible-2022 data_samples/fileset.yaml -o $out --overwrite >/dev/null
na64reco report $out
# A page of 25 figures makes no picture of one: two of its sections, with the first figures of each.
shown='section:not(#plane):not(#time), #plane figure:nth-of-type(n+2), '
shown+='#time figure:nth-of-type(n+3) {display: none}'
sed "s|</style>|$shown</style>|" $out/report.html > $out/shown.html
# With --no-sandbox, as it may be run by root in a container; the page loads nothing.
chromium --headless=new --no-sandbox --disable-gpu --hide-scrollbars --virtual-time-budget=10000 \
  --user-data-dir="$PWD/$out/profile" --window-size=1200,1800 \
  --screenshot="$PWD/$out/report.png" "file://$PWD/$out/shown.html" 2>/dev/null
na64reco display data_samples/dimuon.root --setup 2022-electron --event 3 -o $out/display.png
for name in report display; do
  python docs/shrink_picture.py $out/$name.png docs/images/${name}_page.png
done
# The plane of data, blinded, and of signal.
na64reco run electron-invisible-2022 physics=data_samples/physics.root \
  signal=data_samples/signal.root -o $out --overwrite --picture >/dev/null
python docs/shrink_picture.py $out/ecal_hcal.png docs/images/ecal_hcal.png
rm -rf $out
