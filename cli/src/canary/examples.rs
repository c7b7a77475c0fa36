//! Examples at the end of each command's help. A test parses every one of them.

pub(super) const LIST: &str = "Examples:
  cutover canary list
  cutover canary list --json";

pub(super) const STATUS: &str = "Examples:
  cutover canary status reviews_read
  cutover canary status reviews_read --json";

pub(super) const RUNS: &str = "Examples:
  cutover canary runs reviews_read
  cutover canary runs reviews_read --limit 5";

pub(super) const WATCH: &str = "Examples:
  cutover canary watch reviews_read
  cutover canary watch reviews_read --exit-status

Exit codes:
  0   the run ended; with --exit-status: it was completed
  10  with --exit-status: it was rolled back, or has not begun
  Failed reads are repeated. Ctrl-C (130) stops watching, not the canary.";

pub(super) const WAIT: &str = "Examples:
  cutover canary wait reviews_read --timeout 2h
  cutover canary wait reviews_read --for step=25 --timeout 30m
  cutover canary wait reviews_read --for completed,paused

Exit codes:
  0   the run is where it should be
  10  the run ended in another way
  11  the time is over
  Failed reads are repeated until then.";

pub(super) const START: &str = "Examples:
  cutover canary start reviews_read
  cutover canary start reviews_read --yes --reason ticket-4711";

pub(super) const RETRY: &str = "Examples:
  cutover canary retry reviews_read
  cutover canary retry reviews_read --keep-users";

pub(super) const PROMOTE: &str = "Examples:
  cutover canary promote reviews_read
  cutover canary promote reviews_read --to 50 --yes";

pub(super) const APPROVE: &str = "Examples:
  cutover canary approve reviews_read
  cutover canary approve reviews_read --yes";

pub(super) const PAUSE: &str = "Examples:
  cutover canary pause reviews_read --reason maintenance";

pub(super) const RESUME: &str = "Examples:
  cutover canary resume reviews_read --yes";

pub(super) const ROLLBACK: &str = "Examples:
  cutover canary rollback reviews_read --reason complaints
  cutover canary rollback reviews_read --wait --timeout 5m";

pub(super) const DELETE: &str = "Examples:
  cutover canary delete reviews_read --reason ticket-4711";

pub(super) const REPLAY: &str = "Examples:
  cutover canary replay reviews_read
  cutover canary replay reviews_read r78";

pub(super) const PLAN: &str = "Examples:
  cutover canary plan reviews_read
  cutover canary plan reviews_read -f cutover.yaml --error-rate 2%";

pub(super) const SIMULATE: &str = "Examples:
  cutover canary simulate reviews_read
  cutover canary simulate reviews_read -f cutover.yaml --error-rate 2% --runs 50";
