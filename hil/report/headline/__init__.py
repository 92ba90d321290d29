"""`hil report headline`: software, bench and modelled chip beside what is published."""
