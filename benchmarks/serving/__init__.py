"""The whole service against nginx, caddy, copyparty and others, on the same work in turns.

python -m benchmarks.serving [--quick] [--only NAME,…] [--folder DIR]

plan        how much is measured
place       the folder in which everybody works, and the bytes they serve
processes   servers as processes: started, stopped, their CPU time and memory
packages    the peers that pip and npm bring
peers       how each peer is started, and where it takes and gives bytes
service     our own service, started as a user starts it, and rows put straight into its database
classic     the same one-time files in the classic way, as a measure of ours
load        wrk, curl and siege
benchmark   what a benchmark is: contestants that take turns, and goals
reading, bulk, uploading, growing, lasting    the benchmarks themselves
results     records as JSON, one file per benchmark, so that each can be run again by itself
report, pictures    tables and pictures of whatever results there are
"""
