"""Many runs -> settings -> ranking -> verdicts -> text, figures and a table: what a sweep's report is made of."""
